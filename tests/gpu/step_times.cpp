// whence_step_times DEVICE GAME DTYPE SECONDS [deterministic] [recorded] [profile] [replicas]: how long the
// steps of a game take, one line of JSON each, as soon as it is known. DEVICE: cuda or cpu. GAME: fcgan,
// dcgan8, dcgan32, mlp-vae, conv-vae, or peak (matrix products). Each step is repeated for SECONDS after a
// first call.

#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include "whence/comm/session.h"
#include "whence/core/error.h"
#include "whence/core/matrix_kernels.h"
#include "whence/core/random.h"
#include "whence/device/devices.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/dcgan.h"
#include "whence/game/fcgan.h"
#include "whence/game/recorded_engine.h"
#include "whence/game/vae.h"
#include "whence/optimise/sgd.h"
#include "whence/tracin/gradient_products.h"
#include "whence/tracin/vae_gradients.h"

namespace whence {
namespace {

struct Options {
  std::string device, game;
  at::ScalarType dtype = at::kFloat;
  double seconds = 0.3;
  std::set<std::string> also;

  bool has(const char* word) const { return also.count(word) > 0; }
};

// A game with the data of one mini-batch, in the published sizes.
struct Setting {
  std::shared_ptr<const Game> game;
  Batch batch;
  double multiply_adds;  // of one forward pass of all networks on one instance and one latent
};

at::Tensor normals(std::vector<std::int64_t> shape, std::uint32_t step, at::ScalarType dtype) {
  at::Tensor values = at::empty(shape, at::kDouble);
  RandomStream(1, Purpose::targets, step).normal(0, values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

double multiply_adds(const Network& network) {
  double sum = 0;
  for (const Stage& stage : network.stages()) {
    const Layer& layer = stage.layer;
    const double taps = static_cast<double>(layer.kernel) * static_cast<double>(layer.kernel);
    if (layer.kind == LayerKind::linear)
      sum += static_cast<double>(stage.in.values()) * static_cast<double>(stage.out.values());
    if (layer.kind == LayerKind::convolution)
      sum += taps * static_cast<double>(stage.in.channels) * static_cast<double>(stage.out.values());
    if (layer.kind == LayerKind::transposed)
      sum += taps * static_cast<double>(stage.out.channels) * static_cast<double>(stage.in.values());
  }
  return sum;
}

Setting vae_setting(VaeOptions options, std::int64_t width, std::int64_t count, at::ScalarType dtype) {
  options.beta = 4;
  options.dtype = dtype;
  const auto vae = std::make_shared<Vae>(options);
  return {
      vae,
      {normals({count, width}, 1, dtype).sigmoid(), normals({count, vae->latent_size()}, 2, dtype), count},
      multiply_adds(vae->encoder()) + multiply_adds(vae->decoder())};
}

Setting setting_of(const std::string& game, at::ScalarType dtype) {
  if (game == "fcgan") {
    const auto gan = std::make_shared<Fcgan>(
        FcganOptions{2, 10, {32, 32}, {64, 64}, Activation::relu, Activation::linear, false, 0, dtype});
    return {gan,
            {normals({100, 2}, 1, dtype), normals({100, 10}, 2, dtype), 100},
            multiply_adds(gan->generator_network()) + 2 * multiply_adds(gan->discriminator_network())};
  }
  if (game == "dcgan8" || game == "dcgan32") {
    const auto gan = std::make_shared<Dcgan>(DcganOptions{32, game == "dcgan8" ? 8 : 32, 1e-3, dtype});
    return {gan,
            {normals({100, 784}, 1, dtype).tanh(), normals({100, 32}, 2, dtype), 100},
            multiply_adds(gan->generator_network()) + 2 * multiply_adds(gan->discriminator_network())};
  }
  if (game == "mlp-vae") return vae_setting(mlp_vae(784, {1024, 512, 256}, 128), 784, 64, dtype);
  if (game == "conv-vae") return vae_setting(conv_vae(64), 3 * 64 * 64, 64, dtype);
  refuse("'{}' is not a game that is measured", game);
}

class Stopwatch {
 public:
  explicit Stopwatch(const Options& options)
      : device_(options.device == "cuda" ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU)),
        patience_(options.seconds) {}

  at::Device device() const { return device_; }

  void settle() const {
    if (!device_.is_cpu()) c10::cuda::device_synchronize();
  }
  // Seconds a call, after calls that warm up; calls are not waited for one by one.
  double seconds(const std::function<void()>& work) const {
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point begin) {
      return std::chrono::duration<double>(Clock::now() - begin).count();
    };
    // The first calls set libraries up, and recordings are made in the fourth.
    constexpr int warming = 6;
    auto begin = Clock::now();
    double last = 0;
    for (int call = 0; call < warming && (call < 2 || last < 10 * patience_); ++call) {
      begin = Clock::now();
      work();
      settle();
      last = since(begin);
    }
    const int together = last > patience_ / 10 ? 1 : 10;
    begin = Clock::now();
    std::int64_t calls = 0;
    do {
      for (int call = 0; call < together; ++call, ++calls) work();
      settle();
    } while (since(begin) < patience_);
    return since(begin) / static_cast<double>(calls);
  }

 private:
  at::Device device_;
  double patience_;
};

// The kernels of `work` in a profile: their time a call, and the longest of them.
nlohmann::json profile(const std::function<void()>& work, const Stopwatch& watch) {
  using namespace torch::autograd::profiler;
  constexpr int calls = 10;
  const ProfilerConfig config(ProfilerState::KINETO);
  const std::set<torch::profiler::impl::ActivityType> activities{torch::profiler::impl::ActivityType::CUDA};
  prepareProfiler(config, activities);
  enableProfiler(config, activities);
  for (int call = 0; call < calls; ++call) work();
  watch.settle();
  std::map<std::string, double> by_name;
  std::int64_t kernels = 0;
  double total = 0;
  const auto result = disableProfiler();
  for (const auto& event : result->events()) {
    if (event.deviceType() != c10::DeviceType::CUDA) continue;
    const double seconds = static_cast<double>(event.durationNs()) * 1e-9 / calls;
    by_name[event.name().substr(0, 90)] += seconds;
    total += seconds;
    ++kernels;
  }
  std::vector<std::pair<double, std::string>> longest;
  for (const auto& [name, seconds] : by_name) longest.emplace_back(seconds, name);
  std::sort(longest.rbegin(), longest.rend());
  nlohmann::json top = nlohmann::json::array();
  for (std::size_t i = 0; i < std::min<std::size_t>(longest.size(), 6); ++i)
    top.push_back({{"seconds", longest[i].first}, {"kernel", longest[i].second}});
  return {{"kernels", kernels / calls}, {"busy", total}, {"longest", top}};
}

class Measurement {
 public:
  explicit Measurement(const Options& options)
      : options_(options), watch_(options), setting_(setting_of(options.game, options.dtype)) {
    Batch& batch = setting_.batch;
    batch.instances = batch.instances.to(watch_.device());
    batch.latents = batch.latents.to(watch_.device());
    theta_ = setting_.game->initial_parameters(3).to(watch_.device());
    if (watch_.device().is_cpu())
      engine_ = make_engine("auto", setting_.game);
    else
      engine_ = std::make_shared<AutogradEngine>(setting_.game);
    if (options.has("recorded")) engine_ = std::make_shared<RecordedEngine>(engine_);
  }

  // On a CPU replicas and queries of large games take their turns: one tells of all.
  void steps() {
    const bool all = !watch_.device().is_cpu() || options_.game == "fcgan";
    step("train", 1, [this](std::int64_t) { return training(1); });
    step("trace", 1, [this](std::int64_t q) { return tracing(q); });
    if (!all) return;
    step("trace", 8, [this](std::int64_t q) { return tracing(q); });
    for (const std::int64_t replicas : {32, 200})
      step("replicas", replicas, [this](std::int64_t r) { return training(r); });
  }

  // Self-influence and products with 128 queries, in seconds an instance.
  void tracin() {
    const Autoencoder* vae = setting_.game->autoencoder();
    if (vae == nullptr) return;
    constexpr std::int64_t block = 256, samples = 16, queries = 128;
    std::vector<at::Tensor> tensors;
    for (const at::Tensor& view : setting_.game->layout().views(theta_.unsqueeze(0)))
      tensors.push_back(view[0]);
    const GradientOptions gradient{TracinLoss::training, LatentGradient::reparameterised, samples, 0};
    const auto points = [&](std::int64_t n, std::uint32_t stream) {
      return normals({n, setting_.batch.instances.size(1)}, stream, options_.dtype)
          .sigmoid()
          .to(watch_.device());
    };
    const auto noise = [&](std::int64_t n, std::uint32_t stream) {
      return normals({n, samples, setting_.game->latent_size()}, stream, options_.dtype).to(watch_.device());
    };
    QueryGradients kept(gradient_extents(*vae, gradient), queries);
    const at::Tensor query_points = points(queries, 10), query_draws = noise(queries, 11);
    for (std::int64_t first = 0; first < queries; first += 16)
      take_gradients(*vae, tensors, query_points.narrow(0, first, 16), query_draws.narrow(0, first, 16),
                     gradient,
                     [&](std::size_t l, const LayerGradients& gradients) { kept.put(l, first, gradients); });
    const at::Tensor x = points(block, 20), draws = noise(block, 21);
    at::Tensor self = at::zeros({block}, at::kDouble).to(watch_.device()),
               scores = at::zeros({queries, block}, at::kDouble).to(watch_.device());
    step("tracin self", block, [&](std::int64_t) {
      return [&] {
        take_gradients(*vae, tensors, x, draws, gradient, [&](std::size_t, const LayerGradients& gradients) {
          add_squared_norms(gradients, self);
        });
      };
    });
    step("tracin 128 queries", block, [&](std::int64_t) {
      return [&] {
        take_gradients(
            *vae, tensors, x, draws, gradient,
            [&](std::size_t l, const LayerGradients& gradients) { kept.add_products(l, gradients, scores); });
      };
    });
  }

 private:
  std::function<void()> training(std::int64_t replicas) {
    const at::Tensor weights = at::ones({replicas, setting_.batch.instances.size(0)}, theta_.options());
    const Moves moves{{0, theta_.size(0), 1e-5, 0}};
    at::Tensor state = theta_.repeat({replicas, 1});
    return [this, weights, moves, state]() mutable {
      Sgd().update(state, engine_->gradient(state, setting_.batch, weights), moves);
    };
  }

  std::function<void()> tracing(std::int64_t queries) {
    const at::Tensor u = normals({queries, theta_.size(0)}, 5, options_.dtype).to(watch_.device());
    return [this, u] { engine_->trace(theta_, setting_.batch, u, 0); };
  }

  void step(const std::string& what, std::int64_t count,
            const std::function<std::function<void()>(std::int64_t)>& make) {
    nlohmann::json line{{"device", options_.device},
                        {"game", options_.game},
                        {"dtype", options_.dtype == at::kFloat ? "float32" : "float64"},
                        {"also", options_.also},
                        {"what", what},
                        {"count", count}};
    try {
      const std::function<void()> work = make(count);
      const double seconds = watch_.seconds(work);
      line["seconds"] = seconds;
      // Forward, and twice as much backward.
      if (what == "train" || what == "replicas")
        line["gflops"] =
            6e-9 * setting_.multiply_adds * static_cast<double>(setting_.batch.divisor * count) / seconds;
      if (options_.has("profile")) line["profile"] = profile(work, watch_);
    } catch (const std::exception& error) {
      line["error"] = std::string(error.what()).substr(0, 300);
    }
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
  }

  Options options_;
  Stopwatch watch_;
  Setting setting_;
  at::Tensor theta_;
  std::shared_ptr<const Engine> engine_;
};

// GFLOP/s of large matrix products.
void print_peak(const Options& options) {
  const Stopwatch watch(options);
  const std::int64_t side = watch.device().is_cpu() ? 1024 : 8192;
  const at::Tensor a = normals({side, side}, 1, options.dtype).to(watch.device());
  const double seconds = watch.seconds([&] { at::mm(a, a); }), n = static_cast<double>(side);
  fmt::print("{}\n", nlohmann::json({{"device", options.device},
                                     {"game", "peak"},
                                     {"dtype", options.dtype == at::kFloat ? "float32" : "float64"},
                                     {"what", fmt::format("product of two matrices of {0} x {0}", side)},
                                     {"gflops", 2e-9 * n * n * n / seconds}})
                         .dump());
}

void run(const std::vector<std::string>& words, Communicator& world) {
  if (words.size() < 4)
    refuse("whence_step_times: needs DEVICE GAME DTYPE SECONDS [deterministic] [recorded] [profile]");
  Options options{words[0],
                  words[1],
                  words[2] == "float64" ? at::kDouble : at::kFloat,
                  std::stod(words[3]),
                  {words.begin() + 4, words.end()}};
  choose_matrix_kernels(false);
  at::set_num_threads(1);
  const at::Device device = join_devices(options.device, true, world);
  if (options.has("deterministic")) use_deterministic_algorithms(device);
  if (options.game == "peak") return print_peak(options);
  Measurement measurement(options);
  measurement.steps();
  measurement.tracin();
}

}  // namespace
}  // namespace whence

int main(int argc, char** argv) {
  whence::Session session(1);
  whence::Communicator world = session.world();
  return whence::run_guarded(world, "step times",
                             [&] { whence::run(std::vector<std::string>(argv + 1, argv + argc), world); });
}
