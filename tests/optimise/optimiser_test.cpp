// Optimisers against LibTorch's own, and against themselves alone and among other replicas.
#include "whence/optimise/optimiser.h"

#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>

#include "whence/core/error.h"

#include "support/numbers.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;
using test::same_bits;

constexpr double rate = 0.03;

at::Tensor gradient_of_step(std::int64_t t) { return normals({1, 11}, 100 + static_cast<int>(t)); }

// theta after `steps` steps of LibTorch's optimiser.
template <typename Options, typename TorchOptimiser>
at::Tensor by_torch(const at::Tensor& start, std::int64_t steps) {
  at::Tensor theta = start.clone().requires_grad_();
  TorchOptimiser optimiser(std::vector<at::Tensor>{theta}, Options(rate));
  for (std::int64_t t = 0; t < steps; ++t) {
    theta.mutable_grad() = gradient_of_step(t);
    optimiser.step();
  }
  return theta.detach();
}

at::Tensor by_whence(const std::string& name, const at::Tensor& start, std::int64_t steps) {
  const auto optimiser = make_optimiser(name);
  at::Tensor state = optimiser->initial_state(start);
  EXPECT_EQ(state.size(1), optimiser->state_size(start.size(1)));
  for (std::int64_t t = 0; t < steps; ++t)
    optimiser->update(state, gradient_of_step(t), at::full({start.size(1)}, rate, at::kDouble), t);
  return state.narrow(1, 0, start.size(1));
}

TEST(Optimisers, TakeLibTorchsSteps) {
  const at::Tensor start = normals({1, 11}, 1);
  EXPECT_LT(relative_difference(by_whence("sgd", start, 20),
                                by_torch<torch::optim::SGDOptions, torch::optim::SGD>(start, 20)),
            1e-15);
  EXPECT_LT(relative_difference(by_whence("adam", start, 20),
                                by_torch<torch::optim::AdamOptions, torch::optim::Adam>(start, 20)),
            1e-13);
}

class EveryOptimiser : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryOptimiser, MovesAReplicaAloneAsAmongOthers) {
  const auto optimiser = make_optimiser(GetParam());
  EXPECT_EQ(optimiser->name(), GetParam());
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const at::Tensor params = normals({5, 13}, 2).to(dtype), gradient = normals({5, 13}, 3).to(dtype),
                     rates = normals({13}, 4).abs().to(dtype);
    at::Tensor all = optimiser->initial_state(params);
    at::Tensor alone = optimiser->initial_state(params.narrow(0, 3, 1));
    EXPECT_TRUE(all.narrow(1, 0, 13).equal(params));
    for (std::int64_t t = 0; t < 4; ++t) {
      optimiser->update(all, gradient, rates, t);
      optimiser->update(alone, gradient.narrow(0, 3, 1).contiguous(), rates, t);
    }
    EXPECT_TRUE(same_bits(all.narrow(0, 3, 1), alone));
    EXPECT_FALSE(all.narrow(1, 0, 13).equal(params));
  }
}

TEST_P(EveryOptimiser, LetsPlayersTakeTurnsOnlyIfARateOfZeroKeepsTheState) {
  const auto optimiser = make_optimiser(GetParam());
  at::Tensor state = optimiser->initial_state(normals({1, 7}, 5));
  const at::Tensor before = state.clone();
  optimiser->update(state, normals({1, 7}, 6), at::zeros({7}, at::kDouble), 0);
  EXPECT_EQ(state.equal(before), optimiser->allows_turns());
}

INSTANTIATE_TEST_SUITE_P(Optimisers, EveryOptimiser, ::testing::Values("sgd", "adam"));

TEST(Optimisers, UnknownOnesAreRefused) { EXPECT_THROW(make_optimiser("sgd2"), UsageError); }

}  // namespace
}  // namespace whence
