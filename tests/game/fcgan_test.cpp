// The engine's gradient and trace against finite differences and against double backward written separately.
#include "whence/game/fcgan.h"

#include <cmath>
#include <gtest/gtest.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/game/autograd_engine.h"

#include "game/reference_gan.h"
#include "support/numbers.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;
using test::same_bits;

struct Case {
  std::vector<std::int64_t> generator_hidden, discriminator_hidden;
  Activation hidden, output;
  bool biases;
  double l2;
};

std::shared_ptr<Fcgan> make_gan(const Case& c, at::ScalarType dtype = at::kDouble) {
  return std::make_shared<Fcgan>(FcganOptions{2, 3, c.generator_hidden, c.discriminator_hidden, c.hidden,
                                              c.output, c.biases, c.l2, dtype});
}

Batch make_batch(std::int64_t size, at::ScalarType dtype = at::kDouble) {
  return {normals({size, 2}, 21).to(dtype), normals({size, 3}, 22).to(dtype), size, true};
}

at::Tensor some_params(const Fcgan& gan, int seed = 5) {
  return normals({gan.layout().size()}, seed).to(gan.dtype()) * 0.6;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{4}, {5}, Activation::relu, Activation::linear, false, 0},
      {{4, 3}, {5, 4}, Activation::relu, Activation::linear, false, 0},
      {{4, 3}, {5, 4}, Activation::relu, Activation::tanh, true, 0.1},
      {{4}, {5}, Activation::tanh, Activation::linear, true, 0.3},
      {{1}, {1, 2}, Activation::sigmoid, Activation::tanh, true, 0},
      {{4, 3}, {5, 4}, Activation::leaky_relu, Activation::linear, true, 0.1},
  };
  return all;
}

class EveryFcgan : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    gan = make_gan(cases()[GetParam()]);
    theta = some_params(*gan);
    engine = std::make_unique<AutogradEngine>(gan);
    size = gan->layout().size();
  }
  at::Tensor gradient(const at::Tensor& at_params, const at::Tensor& weights) const {
    return engine->gradient(at_params.unsqueeze(0), batch, weights.unsqueeze(0))[0];
  }
  std::shared_ptr<Fcgan> gan;
  std::unique_ptr<AutogradEngine> engine;
  at::Tensor theta;
  std::int64_t size = 0;
  Batch batch = make_batch(7);
  at::Tensor present = at::ones({7}, at::kDouble);
};

TEST_P(EveryFcgan, GradientIsTheDerivativeOfEachPlayersOwnLoss) {
  const at::Tensor weights = normals({7}, 31).abs();
  at::Tensor expected = at::zeros({size}, at::kDouble);
  const double step = 1e-6;
  for (std::int64_t i = 0; i < size; ++i) {
    std::vector<at::Tensor> loss;
    for (const double sign : {1.0, -1.0}) {
      at::Tensor moved = theta.clone();
      moved[i] += sign * step;
      const auto losses =
          gan->losses(gan->layout().views(moved.unsqueeze(0)), batch, weights.unsqueeze(0), 0.0);
      loss.push_back(losses[i < gan->layout().block(0).second ? 0 : 1][0]);
    }
    expected[i].copy_((loss[0] - loss[1]) / (2 * step));
  }
  EXPECT_LT(relative_difference(gradient(theta, weights), expected), 1e-8);
}

TEST_P(EveryFcgan, TraceIsTheExplicitJacobianByCentralDifferences) {
  const at::Tensor queries = normals({3, size}, 32);
  at::Tensor jacobian = at::zeros({size, size}, at::kDouble);
  const double step = 1e-6;
  for (std::int64_t i = 0; i < size; ++i) {
    at::Tensor up = theta.clone(), down = theta.clone();
    up[i] += step;
    down[i] -= step;
    jacobian.select(1, i).copy_((gradient(up, present) - gradient(down, present)) / (2 * step));
  }
  const TracedStep traced = engine->trace(theta, batch, queries, 0.0);
  EXPECT_LT(relative_difference(traced.u_jacobian, queries.matmul(jacobian)), 1e-6);
}

// g is linear in w, so a difference in w is its derivative.
TEST_P(EveryFcgan, TraceByWeightIsTheChangeOfTheGradientWhenAnInstanceLeaves) {
  const at::Tensor queries = normals({3, size}, 33);
  const TracedStep traced = engine->trace(theta, batch, queries, 1e-3);
  const at::Tensor full = gradient(theta, present);
  for (std::int64_t j = 0; j < 7; ++j) {
    at::Tensor without = present.clone();
    without[j] = 0;
    const at::Tensor expected = queries.matmul(full - gradient(theta, without));
    EXPECT_LT(relative_difference(traced.u_instance.select(1, j), expected), 1e-10);
  }
}

TEST_P(EveryFcgan, TraceIsDoubleBackwardOfAGanWrittenSeparately) {
  const Case& c = cases()[GetParam()];
  const at::Tensor queries = normals({4, size}, 34);
  for (const double kink : {0.0, 0.3, 1e-3}) {
    const TracedStep traced = engine->trace(theta, batch, queries, kink);
    for (std::int64_t q = 0; q < 4; ++q) {
      const auto expected = test::reference_trace(
          {c.generator_hidden, c.discriminator_hidden, c.hidden, c.output, c.biases, c.l2, 3, 2}, theta,
          batch, queries[q], kink);
      EXPECT_LT(relative_difference(traced.u_jacobian[q], expected.u_jacobian), 1e-10) << "kink " << kink;
      EXPECT_LT(relative_difference(traced.u_instance[q], expected.u_instance), 1e-10) << "kink " << kink;
    }
  }
}

TEST_P(EveryFcgan, SlicesOfABatchAddUpToTheWhole) {
  const auto slice = [&](std::int64_t begin, std::int64_t count, bool penalty) {
    return Batch{batch.instances.narrow(0, begin, count), batch.latents.narrow(0, begin, count), 7, penalty};
  };
  at::Tensor sum = at::zeros({1, size}, at::kDouble);
  sum += engine->gradient(theta.unsqueeze(0), slice(0, 3, true), at::ones({1, 3}, at::kDouble));
  sum += engine->gradient(theta.unsqueeze(0), slice(3, 4, false), at::ones({1, 4}, at::kDouble));
  sum += engine->gradient(theta.unsqueeze(0), slice(7, 0, false), at::ones({1, 0}, at::kDouble));
  EXPECT_LT(relative_difference(sum[0], gradient(theta, present)), 1e-14);
  const at::Tensor queries = normals({2, size}, 35);
  const at::Tensor whole = engine->trace(theta, batch, queries, 1e-2).u_jacobian;
  const at::Tensor parts = engine->trace(theta, slice(0, 3, true), queries, 1e-2).u_jacobian +
                           engine->trace(theta, slice(3, 4, false), queries, 1e-2).u_jacobian +
                           engine->trace(theta, slice(7, 0, false), queries, 1e-2).u_jacobian;
  EXPECT_LT(relative_difference(parts, whole), 1e-13);
}

TEST_P(EveryFcgan, ReplicasTogetherAreReplicasOneAtATimeBitForBit) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const auto typed = make_gan(cases()[GetParam()], dtype);
    const AutogradEngine typed_engine(typed);
    const Batch typed_batch = make_batch(7, dtype);
    for (const std::int64_t replicas : {2, 5, 33}) {
      const at::Tensor params = normals({replicas, size}, 36).to(dtype) * 0.6;
      const at::Tensor weights = normals({replicas, 7}, 37).to(dtype).abs();
      const at::Tensor together = typed_engine.gradient(params, typed_batch, weights);
      for (std::int64_t r = 0; r < replicas; ++r)
        EXPECT_TRUE(
            same_bits(together.narrow(0, r, 1),
                      typed_engine.gradient(params.narrow(0, r, 1), typed_batch, weights.narrow(0, r, 1))))
            << "replica " << r << " of " << replicas;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DepthsActivationsBiases, EveryFcgan, ::testing::Range(0, 5));

TEST(PublishedFcgan, ReplicasAreIndependentBitForBitAtItsRealSize) {
  const auto gan = std::make_shared<Fcgan>(
      FcganOptions{2, 10, {32, 32}, {64, 64}, Activation::relu, Activation::linear, false, 0, at::kDouble});
  EXPECT_EQ(gan->layout().size(), 10 * 32 + 32 * 32 + 32 * 2 + 2 * 64 + 64 * 64 + 64);
  const AutogradEngine engine(gan);
  const Batch batch{normals({100, 2}, 1), normals({100, 10}, 2), 100, true};
  const at::Tensor params = gan->initial_parameters(4).repeat({33, 1}),
                   weights = at::ones({33, 100}, at::kDouble);
  const at::Tensor one = engine.gradient(params.narrow(0, 0, 1), batch, weights.narrow(0, 0, 1));
  EXPECT_TRUE(same_bits(engine.gradient(params, batch, weights), one.expand({33, -1}).contiguous()));
}

TEST(Activation, KinkedReluKeepsValuesAndFirstDerivatives) {
  at::Tensor x = at::tensor({-2.0, -1e-9, 0.0, 1e-9, 3.0}, at::kDouble).requires_grad_();
  const at::Tensor y = relu(x, 0.5);
  EXPECT_TRUE(y.equal(at::tensor({0.0, 0.0, 0.0, 1e-9, 3.0}, at::kDouble)));
  const at::Tensor slope = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
  EXPECT_TRUE(slope.equal(at::tensor({0.0, 0.0, 0.0, 1.0, 1.0}, at::kDouble)));
  const at::Tensor curvature = torch::autograd::grad({slope.sum()}, {x})[0];
  for (int i = 0; i < 5; ++i) {
    const double value = x[i].item<double>(), density = std::exp(-2 * value * value) / std::sqrt(M_PI / 2);
    EXPECT_NEAR(curvature[i].item<double>(), density, 1e-15);
  }
}

TEST(Activation, SoftplusHasFullPrecision) {
  for (const double x : {-800.0, -30.0, -1.0, 0.0, 1.0, 19.9, 20.1, 25.0, 39.9, 40.1, 800.0}) {
    const double expected = x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
    EXPECT_NEAR(precise_softplus(at::tensor({x}, at::kDouble).unsqueeze(0)).item<double>(), expected,
                1e-15 * std::abs(expected));
  }
}

TEST(Layout, SpreadsRatesOverPlayersAndTellsBlocks) {
  const auto gan = make_gan({{4}, {5}, Activation::relu, Activation::linear, true, 0});
  const auto [begin, end] = gan->layout().block(1);
  EXPECT_EQ(begin, 3 * 4 + 4 + 4 * 2 + 2);
  EXPECT_EQ(end, gan->layout().size());
  const at::Tensor rates = gan->layout().spread(at::tensor({0.5, 2.0}, at::kDouble), at::kDouble);
  EXPECT_TRUE((rates.narrow(0, 0, begin) == 0.5).all().item<bool>());
  EXPECT_TRUE((rates.narrow(0, begin, end - begin) == 2.0).all().item<bool>());
}

TEST(Layout, GlorotUniformStaysWithinItsLimitAndLeavesBiasesAtZero) {
  const auto gan = make_gan({{40}, {50}, Activation::relu, Activation::linear, true, 0});
  const auto tensors = gan->layout().views(gan->initial_parameters(1).unsqueeze(0));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const ParameterSpec& spec = gan->layout().specs()[i];
    const double largest = tensors[i].abs().max().item<double>();
    const double limit = std::sqrt(6.0 / static_cast<double>(spec.fan_in + spec.fan_out));
    if (spec.is_kernel) {
      EXPECT_LE(largest, limit);
      EXPECT_GT(largest, 0.8 * limit);
    } else {
      EXPECT_EQ(largest, 0.0);
    }
  }
  EXPECT_FALSE(gan->initial_parameters(1).equal(gan->initial_parameters(2)));
}

}  // namespace
}  // namespace whence
