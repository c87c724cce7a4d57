// whence_bench [--benchmark_...]: benchmarks of single steps, after a check that what is compared gives the
// same numbers. whence_bench --engines [mlp-vae]: the native engine against the LibTorch engine.
// whence_bench --optimisers TURNS: what each optimiser costs beside plain SGD.
// whence_bench --conv CHANNELS DTYPE TURNS: DCGAN steps, plain LibTorch calls against native kernels.
// [mpirun -n RANKS] whence_bench --training-cost FOLDER EPOCHS PAIRS ENGINE: what recording costs.

#include <benchmark/benchmark.h>

#include <torch/version.h>

#include "whence/comm/session.h"
#include "whence/core/error.h"
#include "whence/core/matrix_kernels.h"
#include "whence/core/provenance.h"

#include "conv_steps.h"
#include "engine_ratios.h"
#include "optimiser_ratios.h"
#include "steps.h"
#include "tracin_ratio.h"
#include "training_cost.h"

namespace whence::bench {
namespace {

#ifdef __clang__
constexpr const char* compiler = __VERSION__;
#else
constexpr const char* compiler = "GCC " __VERSION__;
#endif

void run(std::vector<char*> arguments, const Communicator& world) {
  choose_matrix_kernels(false);
  if (arguments.size() > 1 && std::string(arguments[1]) == "--training-cost") {
    if (arguments.size() != 6) refuse("--training-cost: needs FOLDER EPOCHS PAIRS ENGINE");
    return print_training_cost(arguments[2], std::stoll(arguments[3]), std::stoll(arguments[4]), arguments[5],
                               world);
  }
  if (arguments.size() > 1 && std::string(arguments[1]) == "--engines") {
    if (arguments.size() > 3) refuse("--engines: needs GAME or nothing else");
    return print_engine_ratios(arguments.size() == 3 ? arguments[2] : "fcgan");
  }
  if (arguments.size() > 1 && std::string(arguments[1]) == "--optimisers") {
    if (arguments.size() != 3) refuse("--optimisers: needs TURNS");
    return print_optimiser_ratios(std::stoll(arguments[2]));
  }
  if (arguments.size() > 1 && std::string(arguments[1]) == "--tracin") {
    if (arguments.size() != 7) refuse("--tracin: needs LATENT QUERIES SLICE ROUNDS DTYPE");
    return print_tracin_ratio(std::stoll(arguments[2]), std::stoll(arguments[3]), std::stoll(arguments[4]),
                              std::stoll(arguments[5]), arguments[6]);
  }
  if (arguments.size() > 1 && std::string(arguments[1]) == "--conv") {
    if (arguments.size() != 5) refuse("--conv: needs CHANNELS DTYPE TURNS");
    return print_conv_steps(std::stoll(arguments[2]), arguments[3], std::stoll(arguments[4]));
  }
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) refuse("unknown arguments");
  const TrainedEpoch epoch;
  benchmark::AddCustomContext("largest difference", fmt::format("{:.1e}", check_same_numbers(epoch)));
  benchmark::AddCustomContext("compiler", compiler);
  benchmark::AddCustomContext("libtorch", TORCH_VERSION);
  benchmark::AddCustomContext("matrix products", matrix_kernels_in_use());
  benchmark::AddCustomContext("whence", version() + " " + git_sha());
  register_steps(epoch);
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace
}  // namespace whence::bench

int main(int argc, char** argv) {
  whence::Session session(1);
  const whence::Communicator world = session.world();
  return whence::run_guarded(world, "bench",
                             [&] { whence::bench::run(std::vector<char*>(argv, argv + argc), world); });
}
