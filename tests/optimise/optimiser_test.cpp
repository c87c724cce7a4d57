// Optimisers against LibTorch's own, against central differences of their steps, and against themselves alone
// and among other replicas.
#include "whence/optimise/optimiser.h"

#include <array>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include "whence/core/error.h"

#include "../../src/optimise/elementwise.h"
#include "support/numbers.h"
#include "support/optimisers.h"

namespace whence {
namespace {

using test::NamedOptimiser;
using test::normals;
using test::optimiser_called;
using test::relative_difference;
using test::same_bits;

constexpr double rate = 0.03;
constexpr std::int64_t parameters = 211;  // some blocks of the elementwise loops, and a rest

at::Tensor gradient_of_step(std::int64_t t) { return normals({1, parameters}, 100 + static_cast<int>(t)); }

// theta after 20 steps of LibTorch's optimiser.
template <typename TorchOptimiser, typename Options>
at::Tensor by_torch(const at::Tensor& start, const Options& options) {
  at::Tensor theta = start.clone().requires_grad_();
  TorchOptimiser optimiser(std::vector<at::Tensor>{theta}, options);
  for (std::int64_t t = 0; t < 20; ++t) {
    theta.mutable_grad() = gradient_of_step(t);
    optimiser.step();
  }
  return theta.detach();
}

at::Tensor by_whence(const OptimiserOptions& options, const at::Tensor& start) {
  const auto optimiser = make_optimiser(options);
  at::Tensor state = optimiser->initial_state(start);
  EXPECT_EQ(state.size(1), optimiser->state_size(start.size(1)));
  for (std::int64_t t = 0; t < 20; ++t)
    optimiser->update(state, gradient_of_step(t), {{0, parameters, rate, t}});
  return state.narrow(1, 0, parameters);
}

TEST(Optimisers, TakeLibTorchsSteps) {
  using namespace torch::optim;
  const at::Tensor start = normals({1, parameters}, 1);
  const auto meet = [&](OptimiserOptions options, const at::Tensor& torch, double within = 1e-13) {
    EXPECT_LT(relative_difference(by_whence(options, start), torch), within) << options.name;
  };
  meet(optimiser_called("sgd"), by_torch<SGD>(start, SGDOptions(rate)), 1e-15);
  meet(optimiser_called("momentum", 0.9), by_torch<SGD>(start, SGDOptions(rate).momentum(0.9)));
  OptimiserOptions options = optimiser_called("momentum", 0.8);
  options.nesterov = true;
  options.weight_decay = 0.2;
  meet(options, by_torch<SGD>(start, SGDOptions(rate).momentum(0.8).nesterov(true).weight_decay(0.2)));
  meet(optimiser_called("adam"), by_torch<Adam>(start, AdamOptions(rate)));
  options = optimiser_called("adamw");
  options.weight_decay = 0.3;
  meet(options, by_torch<AdamW>(start, AdamWOptions(rate).weight_decay(0.3)));
  options = optimiser_called("rmsprop", 0.5);
  options.beta2 = 0.9;
  meet(options, by_torch<RMSprop>(start, RMSpropOptions(rate).alpha(0.9).momentum(0.5)));
}

class EveryOptimiser : public ::testing::TestWithParam<NamedOptimiser> {
 protected:
  // A step of two players after three others: the first sat out the second of them.
  struct Taken {
    at::Tensor before, after, gradient;
    Moves moves;
  };
  static Taken taken_step(const Optimiser& optimiser, at::ScalarType dtype = at::kDouble) {
    at::Tensor state = optimiser.initial_state(normals({1, parameters}, 2).to(dtype));
    Moves moves{{0, 100, 0.02, 0}, {100, parameters, 0.03, 0}};
    for (std::int64_t t = 0; t < 3; ++t) {
      moves[0].rate = t == 1 ? 0 : 0.02;
      optimiser.update(state, gradient_of_step(t).to(dtype), moves);
      moves[0].taken += t == 1 ? 0 : 1;
      moves[1].taken += 1;
    }
    Taken taken{state.clone(), state, gradient_of_step(3).to(dtype), moves};
    optimiser.update(taken.after, taken.gradient, moves);
    return taken;
  }
};

TEST_P(EveryOptimiser, MovesAReplicaAloneAsAmongOthers) {
  const auto optimiser = make_optimiser(GetParam().options);
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const at::Tensor params = normals({5, parameters}, 2).to(dtype),
                     gradient = normals({5, parameters}, 3).to(dtype);
    at::Tensor all = optimiser->initial_state(params);
    at::Tensor alone = optimiser->initial_state(params.narrow(0, 3, 1));
    EXPECT_TRUE(optimiser->part(all, 0).equal(params));
    EXPECT_TRUE(optimiser->model(all).equal(params));
    for (std::int64_t t = 0; t < 4; ++t) {
      const Moves moves{{0, 7, 0.1, t}, {7, parameters, 0.2, t}};
      optimiser->update(all, gradient, moves);
      optimiser->update(alone, gradient.narrow(0, 3, 1).contiguous(), moves);
    }
    EXPECT_TRUE(same_bits(all.narrow(0, 3, 1), alone));
    EXPECT_FALSE(optimiser->part(all, 0).equal(params));
  }
}

TEST_P(EveryOptimiser, KeepsTheStateOfAPlayerWhoseTurnItIsNot) {
  const auto optimiser = make_optimiser(GetParam().options);
  at::Tensor state = optimiser->initial_state(normals({1, parameters}, 5));
  const at::Tensor before = state.clone();
  optimiser->update(state, normals({1, parameters}, 6), {{0, 9, 0, 0}, {9, parameters, 0.1, 0}});
  for (std::int64_t part = 0; part < static_cast<std::int64_t>(optimiser->parts().size()); ++part) {
    EXPECT_TRUE(
        optimiser->part(state, part).narrow(1, 0, 9).equal(optimiser->part(before, part).narrow(1, 0, 9)));
    EXPECT_FALSE(optimiser->part(state, part).equal(optimiser->part(before, part)));
  }
}

// <u, d(step)> by central differences along random directions of state and gradient.
TEST_P(EveryOptimiser, PullsBackByTheTransposeOfItsStepsDerivative) {
  const auto optimiser = make_optimiser(GetParam().options);
  const Taken taken = taken_step(*optimiser);
  const at::Tensor queries = normals({3, taken.before.size(1)}, 7);
  at::Tensor u = queries.clone();
  const at::Tensor q =
      optimiser->pull_back(u, {taken.before[0], taken.after[0], taken.gradient[0]}, taken.moves);
  for (int direction = 0; direction < 4; ++direction) {
    // In proportion: second moments must stay positive.
    at::Tensor along = normals({1, taken.before.size(1)}, 20 + direction) * taken.before;
    if (direction == 3) along.zero_();  // the gradient alone
    const at::Tensor along_g = normals({1, parameters}, 30 + direction);
    const auto moved = [&](double h) {
      at::Tensor state = taken.before + h * along;
      optimiser->update(state, taken.gradient + h * along_g, taken.moves);
      return state[0];
    };
    constexpr double h = 1e-6;
    const at::Tensor differences = queries.matmul((moved(h) - moved(-h)) / (2 * h));
    const at::Tensor expected = u.matmul(along[0]) - q.matmul(along_g[0]);
    EXPECT_LT(relative_difference(expected, differences), 2e-7);
  }
}

TEST_P(EveryOptimiser, PullsBackAQueryAloneAsAmongOthersAndInFloat32) {
  const auto optimiser = make_optimiser(GetParam().options);
  const Taken taken = taken_step(*optimiser), narrow = taken_step(*optimiser, at::kFloat);
  at::Tensor all = normals({3, taken.before.size(1)}, 7), alone = all.narrow(0, 1, 1).clone(),
             rounded = all.to(at::kFloat);
  const auto back = [&](const Taken& step, at::Tensor& u) {
    return optimiser->pull_back(u, {step.before[0], step.after[0], step.gradient[0]}, step.moves);
  };
  const at::Tensor q = back(taken, all), q_alone = back(taken, alone), q_rounded = back(narrow, rounded);
  EXPECT_TRUE(same_bits(q.narrow(0, 1, 1), q_alone));
  EXPECT_TRUE(same_bits(all.narrow(0, 1, 1), alone));
  EXPECT_LT(relative_difference(q_rounded.to(at::kDouble), q), 1e-4);
  EXPECT_LT(relative_difference(rounded.to(at::kDouble), all), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Optimisers, EveryOptimiser, ::testing::ValuesIn(test::every_optimiser()),
                         [](const auto& info) { return info.param.name; });

// A unit that never had a gradient: within 1e-3 epsilon of it the step is linear in the gradient, with the
// slope that pull_back has.
TEST(NearZero, AStepFromAMomentOfZeroHasTheSlopeOfEpsilon) {
  for (const char* name : {"adam", "adamw", "rmsprop"}) {
    const auto optimiser = make_optimiser(optimiser_called(name));
    const at::Tensor start = optimiser->initial_state(normals({1, 3}, 1));
    const Moves moves{{0, 3, rate, 5}};
    at::Tensor after = start.clone(), u = at::zeros({1, start.size(1)}, at::kDouble);
    const at::Tensor none = at::zeros({1, 3}, at::kDouble);
    optimiser->update(after, none, moves);
    u[0][1] = 1;
    const at::Tensor q = optimiser->pull_back(u, {start[0], after[0], none[0]}, moves);
    const auto moved = [&](double g) {
      at::Tensor state = start.clone();
      optimiser->update(state, at::full({1, 3}, g, at::kDouble), moves);
      return state[0][1].item<double>();
    };
    const double h = 1e-12, slope = (moved(h) - moved(-h)) / (2 * h);
    EXPECT_NEAR(-q[0][1].item<double>() / slope, 1, 1e-3) << name;
    EXPECT_TRUE(u.isfinite().all().item<bool>());
    EXPECT_TRUE(optimiser->near_zero(after[0], moves).equal(at::full({3}, 1.0, at::kDouble)));
  }
}

TEST(NearZero, IsWhereEpsilonIsMoreThanAHundredthOfTheDivisor) {
  for (const char* name : {"adam", "rmsprop"}) {
    OptimiserOptions options = optimiser_called(name);
    options.epsilon = 1e-3;
    const auto optimiser = make_optimiser(options);
    at::Tensor state = optimiser->initial_state(at::zeros({1, 4}, at::kDouble));
    const Moves moves{{0, 2, 0, 4}, {2, 4, rate, 4}};  // the first player stays, which moves no query
    const double spread = name[0] == 'a' ? 1 - std::pow(0.999, 5) : 1;
    at::Tensor v = optimiser->part(state, name[0] == 'a' ? 2 : 1)[0];
    v[2] = spread * std::pow(0.0989, 2);  // r + epsilon = 0.0999
    v[3] = spread * std::pow(0.0991, 2);
    const at::Tensor near = optimiser->near_zero(state[0], moves);
    EXPECT_EQ(near[2].item<double>(), 1) << name;
    EXPECT_EQ(near.sum().item<double>(), 1) << name;
  }
  EXPECT_FALSE(
      make_optimiser(optimiser_called("momentum"))->near_zero(at::zeros({4}), {{0, 2, rate, 0}}).defined());
}

// Roots and quotients of other processors than this one are those of the same numbers.
TEST(Elementwise, VectorsOfEveryWidthGiveTheSameBits) {
  if (!elementwise::has_wider_vectors()) GTEST_SKIP() << "this processor has no AVX2";
  const auto compare = [](auto number) {
    using Float = decltype(number);
    std::vector<Float> x(parameters), narrow(parameters), wide(parameters);
    for (std::int64_t i = 0; i < parameters; ++i)
      x[i] = static_cast<Float>(1 + std::sin(7.0 * i)) * Float(1e-3);
    const auto formula = [](auto own, const auto& from) {
      own[0] =
          elementwise::quotient_or_zero(from[0] * Float(0.3), std::sqrt(from[0] * Float(0.7)) + Float(1e-8));
      return own;
    };
    const std::array<const Float*, 1> from{x.data()};
    elementwise::each(std::array<Float*, 1>{narrow.data()}, from, parameters, formula,
                      std::make_index_sequence<1>(), std::make_index_sequence<1>());
    elementwise::each_in_wider_vectors(std::array<Float*, 1>{wide.data()}, from, parameters, formula);
    EXPECT_EQ(std::memcmp(narrow.data(), wide.data(), parameters * sizeof(Float)), 0);
    EXPECT_GT(wide[1], 0);
  };
  compare(0.0);
  compare(0.0F);
}

TEST(Optimisers, UnknownOnesAreRefused) {
  EXPECT_THROW(make_optimiser(optimiser_called("sgd2")), UsageError);
}

TEST(Optimisers, HaveTheirNames) {
  for (const std::string& name : optimiser_names())
    EXPECT_EQ(make_optimiser(optimiser_called(name))->name(), name);
}

}  // namespace
}  // namespace whence
