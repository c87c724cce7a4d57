// A whole run and its trace-back do not notice which engine computes them, with any optimiser.
#include <gtest/gtest.h>

#include "whence/game/autograd_engine.h"
#include "whence/game/native_engine.h"

#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/optimisers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::relative_difference;

constexpr std::int64_t instances = 18, batch = 6, epochs = 3;

class EnginesOfVaes : public ::testing::TestWithParam<test::NamedOptimiser> {};

TEST_P(EnginesOfVaes, GiveTheSameRunAndTheSameInfluence) {
  for (const Likelihood likelihood : {Likelihood::bernoulli, Likelihood::squared}) {
    const auto vae = std::make_shared<Vae>(test::small_mlp_vae(likelihood));
    const ScheduleOptions schedule{instances,       batch, epochs, 3, Update::simultaneous,
                                   Decay::constant, {0.01}};
    const at::Tensor data = test::normals({instances, 12}, 1).sigmoid();
    const MemoryRun torch(vae, std::make_shared<AutogradEngine>(vae), data, schedule, GetParam().options),
        native(vae, std::make_shared<NativeEngine>(vae), data, schedule, GetParam().options);
    EXPECT_GT((native.params.back() - native.params.front()).abs().max().item<double>(), 1e-3);
    EXPECT_LT(relative_difference(native.params.back(), torch.params.back()), 1e-13);

    const at::Tensor queries = test::normals({2, vae->layout().size()}, 2);
    const auto influence = [&](const MemoryRun& run) {
      return trace_back(run.steps(), queries, {{1, epochs}, {0.0, 0.05}, {1}}, Communicator(MPI_COMM_WORLD),
                        [](std::int64_t) {});
    };
    EXPECT_LT(relative_difference(influence(native), influence(torch)), 1e-10);
  }
}

INSTANTIATE_TEST_SUITE_P(Optimisers, EnginesOfVaes, ::testing::ValuesIn(test::every_optimiser()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace whence
