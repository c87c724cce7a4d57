// VAEs of perceptrons by the native engine: against the LibTorch engine, for every compiled variant of its
// kernels, and by finite differences.
#include <cmath>
#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/native_engine.h"
#include "whence/game/vae.h"

#include "support/engine_checks.h"
#include "support/numbers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::expect_alike;
using test::normals;
using test::relative_difference;
using test::same_bits;
using test::same_trace;

struct Net {
  std::int64_t width, latent;
  std::vector<std::int64_t> hidden;
  Activation inside, last;  ///< `last`: of the decoder, and of the encoder
  bool biases;
  Likelihood likelihood;
  double beta;
};

// Every activation inside and last, depth 1 to 4, widths from 1, with and without biases and KL term.
const std::vector<Net>& nets() {
  static const std::vector<Net> all{
      {2, 3, {}, Activation::relu, Activation::linear, true, Likelihood::bernoulli, 1},
      {1, 1, {1}, Activation::tanh, Activation::tanh, true, Likelihood::squared, 0.2},
      {5, 3, {7}, Activation::relu, Activation::linear, false, Likelihood::bernoulli, 0},
      {3, 2, {4, 2}, Activation::sigmoid, Activation::sigmoid, true, Likelihood::bernoulli, 4},
      {12, 3, {9, 7}, Activation::relu, Activation::relu, true, Likelihood::squared, 1.7},
      {6, 4, {6, 5, 4}, Activation::tanh, Activation::linear, false, Likelihood::squared, 2},
      {5, 2, {3, 8, 2}, Activation::linear, Activation::sigmoid, true, Likelihood::squared, 0},
      {19, 8, {17, 33}, Activation::relu, Activation::linear, true, Likelihood::bernoulli, 4},
      {49, 8, {64, 32}, Activation::relu, Activation::linear, true, Likelihood::squared, 4},
      {7, 3, {18, 5}, Activation::leaky_relu, Activation::leaky_relu, true, Likelihood::bernoulli, 2},
  };
  return all;
}

std::shared_ptr<Vae> make_vae(const Net& net, at::ScalarType dtype) {
  std::vector<Layer> down, up;
  for (const std::int64_t width : net.hidden) down.push_back(linear_layer(width, net.inside, net.biases));
  down.push_back(linear_layer(2 * net.latent, net.last, net.biases));
  for (auto width = net.hidden.rbegin(); width != net.hidden.rend(); ++width)
    up.push_back(linear_layer(*width, net.inside, net.biases));
  up.push_back(linear_layer(net.width, net.last, net.biases));
  return std::make_shared<Vae>(
      VaeOptions{"small-vae", {net.width, 1, 1}, down, up, net.latent, net.beta, net.likelihood, dtype});
}

Batch make_batch(const Vae& vae, std::int64_t size) {
  const at::Tensor points = normals({size, vae.encoder().input().values()}, 21).sigmoid();
  return {points.to(vae.dtype()), normals({size, vae.latent_size()}, 22).to(vae.dtype()), size + 1};
}

at::Tensor some_params(const Vae& vae, std::int64_t replicas, int seed = 5) {
  return (normals({replicas, vae.layout().size()}, seed) * 0.3).to(vae.dtype());
}

at::Tensor some_weights(const Vae& vae, std::int64_t replicas, std::int64_t instances) {
  at::Tensor weights = normals({replicas, instances}, 6).abs();
  weights.select(1, 0).zero_();
  return weights.to(vae.dtype());
}

class EveryVariantOfVaes : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<NativeEngine> native(const std::shared_ptr<const Game>& game) const {
    return std::make_unique<NativeEngine>(game, GetParam());
  }
  static constexpr std::pair<at::ScalarType, double> types[] = {{at::kDouble, 1e-12}, {at::kFloat, 1e-5}};
};

TEST_P(EveryVariantOfVaes, GradientIsThatOfTheTorchEngine) {
  for (const auto& [dtype, allowed] : types)
    for (std::size_t i = 0; i < nets().size(); ++i) {
      const auto vae = make_vae(nets()[i], dtype);
      for (const std::int64_t size : {1, 7, 8, 33}) {
        const Batch batch = make_batch(*vae, size);
        const at::Tensor params = some_params(*vae, 3), weights = some_weights(*vae, 3, size) + 0.25;
        const at::Tensor expected = AutogradEngine(vae).gradient(params, batch, weights);
        EXPECT_LT(relative_difference(native(vae)->gradient(params, batch, weights), expected), allowed)
            << "net " << i << ", batch " << size << ", " << dtype;
      }
    }
}

TEST_P(EveryVariantOfVaes, TraceIsThatOfTheTorchEngine) {
  for (const auto& [dtype, allowed] : types)
    for (std::size_t i = 0; i < nets().size(); ++i) {
      const auto vae = make_vae(nets()[i], dtype);
      for (const double kink : {0.0, 0.3, dtype == at::kFloat ? 0.5 : 1e-3}) {
        // N(a; 0, h) amplifies the rounding of a by up to 1 / h.
        const double within = kink == 1e-3 ? 10 * allowed : allowed;
        for (const std::int64_t size : {1, 9, 32}) {
          const Batch batch = make_batch(*vae, size);
          const at::Tensor params = some_params(*vae, 1)[0], queries = some_params(*vae, 3, 8);
          expect_alike(native(vae)->trace(params, batch, queries, kink),
                       AutogradEngine(vae).trace(params, batch, queries, kink), within,
                       fmt::format("net {}, batch {}, kink {}, {}", i, size, kink, c10::toString(dtype)));
        }
      }
    }
}

// Layers of more than half a MiB in either precision are taken a few rows at a time.
TEST_P(EveryVariantOfVaes, LayersLargerThanACoresCacheAreThoseOfTheTorchEngine) {
  const Net net{520, 8, {260}, Activation::relu, Activation::linear, true, Likelihood::bernoulli, 2};
  ASSERT_GE(net.width * net.hidden.front() * sizeof(float), 512 * 1024);
  for (const auto& [dtype, allowed] : types) {
    const auto vae = make_vae(net, dtype);
    const Batch batch = make_batch(*vae, 9);
    const at::Tensor params = some_params(*vae, 1) * 0.15, weights = some_weights(*vae, 1, 9) + 0.25,
                     queries = some_params(*vae, 2, 8);
    const AutogradEngine torch(vae);
    const auto engine = native(vae);
    EXPECT_LT(
        relative_difference(engine->gradient(params, batch, weights), torch.gradient(params, batch, weights)),
        allowed)
        << dtype;
    expect_alike(engine->trace(params[0], batch, queries, 0.3), torch.trace(params[0], batch, queries, 0.3),
                 allowed, fmt::format("large layers, {}", c10::toString(dtype)));
  }
}

// The gradient is the losses' slope, u^T J v the gradient's along v, and an instance's influence what the
// gradient loses with it.
TEST_P(EveryVariantOfVaes, FiniteDifferencesGiveTheSame) {
  for (std::size_t i = 0; i < nets().size(); ++i) {
    const auto vae = make_vae(nets()[i], at::kDouble);
    const auto engine = native(vae);
    constexpr std::int64_t size = 9;
    constexpr double h = 1e-6;
    const Batch batch = make_batch(*vae, size);
    const at::Tensor theta = some_params(*vae, 1)[0], u = some_params(*vae, 1, 8)[0],
                     v = some_params(*vae, 1, 9)[0], everyone = at::ones({1, size}, at::kDouble);
    const auto gradient = [&](const at::Tensor& at, const at::Tensor& weights) {
      return engine->gradient(at.unsqueeze(0), batch, weights)[0];
    };
    const auto loss = [&](const at::Tensor& at) {
      return vae->losses(vae->layout().views(at.unsqueeze(0)), batch, everyone, 0)[0][0];
    };
    const double slope = ((loss(theta + h * u) - loss(theta - h * u)) / (2 * h)).item<double>();
    EXPECT_NEAR(gradient(theta, everyone).dot(u).item<double>(), slope, 1e-6 * std::abs(slope))
        << "net " << i;

    const TracedStep traced = engine->trace(theta, batch, u.unsqueeze(0), 0);
    const at::Tensor bent = (gradient(theta + h * v, everyone) - gradient(theta - h * v, everyone)) / (2 * h);
    EXPECT_NEAR(traced.u_jacobian[0].dot(v).item<double>(), bent.dot(u).item<double>(),
                1e-6 * (u.norm() * bent.norm()).item<double>())
        << "net " << i;
    for (std::int64_t j = 0; j < size; ++j) {
      at::Tensor without = everyone.clone();
      without[0][j] = 0;
      const at::Tensor change = gradient(theta, everyone) - gradient(theta, without);
      EXPECT_NEAR(traced.u_instance[0][j].item<double>(), change.dot(u).item<double>(), 1e-12)
          << "net " << i << ", instance " << j;
    }
  }
}

TEST_P(EveryVariantOfVaes, ManyReplicasAndQueriesAreBitForBitThoseOfOneAtATimeOnAnyThreads) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat})
    for (const std::size_t i : {4, 7, 8}) {
      const auto vae = make_vae(nets()[i], dtype);
      const auto engine = native(vae);
      const Batch batch = make_batch(*vae, 13);
      const at::Tensor params = some_params(*vae, 40), weights = some_weights(*vae, 40, 13);
      const at::Tensor together = engine->gradient(params, batch, weights);
      const TracedStep traced = engine->trace(params[0], batch, params, 0.3);
      const int threads = at::get_num_threads();
      at::set_num_threads(3);
      EXPECT_TRUE(same_bits(engine->gradient(params, batch, weights), together));
      EXPECT_TRUE(same_trace(engine->trace(params[0], batch, params, 0.3), traced));
      at::set_num_threads(threads);
      test::expect_bits_of_one_at_a_time(*engine, *native(vae), batch, params, weights);
    }
}

TEST_P(EveryVariantOfVaes, SlicesOfABatchAddUpToTheWhole) {
  const auto vae = make_vae(nets()[7], at::kDouble);
  const auto engine = native(vae);
  const Batch batch = make_batch(*vae, 21);
  const at::Tensor params = some_params(*vae, 1), queries = some_params(*vae, 2, 8);
  const at::Tensor weights = some_weights(*vae, 1, 21);
  const TracedStep whole = engine->trace(params[0], batch, queries, 0.3);
  at::Tensor gradient = at::zeros_like(params), jacobian = at::zeros_like(queries);
  const std::int64_t begin[] = {0, 10, 10, 11, 21};  // one slice is empty, one a single instance
  for (int part = 0; part < 4; ++part) {
    const std::int64_t count = begin[part + 1] - begin[part];
    const Batch slice{batch.instances.narrow(0, begin[part], count),
                      batch.latents.narrow(0, begin[part], count), batch.divisor, part == 2};
    gradient += engine->gradient(params, slice, weights.narrow(1, begin[part], count));
    const TracedStep traced = engine->trace(params[0], slice, queries, 0.3);
    jacobian += traced.u_jacobian;
    EXPECT_TRUE(same_bits(traced.u_instance, whole.u_instance.narrow(1, begin[part], count))) << part;
  }
  EXPECT_LT(relative_difference(gradient, engine->gradient(params, batch, weights)), 1e-14);
  EXPECT_LT(relative_difference(jacobian, whole.u_jacobian), 1e-13);
}

TEST_P(EveryVariantOfVaes, ARemovedInstanceLeavesNoTrace) {
  const auto vae = make_vae(nets()[7], at::kDouble);
  const auto engine = native(vae);
  Batch batch = make_batch(*vae, 13);
  const at::Tensor params = some_params(*vae, 1), weights = some_weights(*vae, 1, 13);
  ASSERT_EQ(weights[0][0].item<double>(), 0);
  const at::Tensor before = engine->gradient(params, batch, weights);
  batch.instances[0] = 0.77;
  batch.latents[0] = -3;
  EXPECT_TRUE(same_bits(engine->gradient(params, batch, weights), before));
}

TEST_P(EveryVariantOfVaes, NaNInAnyParameterReachesTheGradientAndTheTrace) {
  for (const std::size_t i : {4, 5, 7}) {
    const auto vae = make_vae(nets()[i], at::kDouble);
    const auto engine = native(vae);
    const Batch batch = make_batch(*vae, 5);
    test::expect_nan_to_spread(*vae, *engine, batch, some_params(*vae, 1), some_params(*vae, 1, 8));
  }
}

TEST_P(EveryVariantOfVaes, WorkingMemoryKeepsNothingFromEarlierCalls) {
  const auto vae = make_vae(nets()[7], at::kDouble);
  const auto used = native(vae);
  for (const std::int64_t size : {13, 5, 13})
    test::expect_nothing_kept(
        *used, [&] { return native(vae); }, make_batch(*vae, size), some_params(*vae, 1),
        some_weights(*vae, 1, size));
}

// Logits of some hundreds: e^l overflows in float32, and sigmoid(l) is 0 for some and 1 for others.
TEST_P(EveryVariantOfVaes, HugeLogitsAreThoseOfTheTorchEngine) {
  for (const auto& [dtype, allowed] : types)
    for (const Likelihood likelihood : {Likelihood::bernoulli, Likelihood::squared}) {
      Net net = nets()[2];
      net.likelihood = likelihood;
      const auto vae = make_vae(net, dtype);
      const Batch batch = make_batch(*vae, 11);
      at::Tensor params = some_params(*vae, 1);
      const ParameterSpec& last = vae->layout().specs().back();
      params.narrow(1, last.offset, last.size()) *= 400;
      const at::Tensor weights = some_weights(*vae, 1, 11);
      ASSERT_GT(vae->decoder().forward(vae->layout().views(params), batch.latents).abs().max().item<double>(),
                120);
      const at::Tensor expected = AutogradEngine(vae).gradient(params, batch, weights);
      EXPECT_LT(relative_difference(native(vae)->gradient(params, batch, weights), expected), allowed);
      expect_alike(native(vae)->trace(params[0], batch, params, 0),
                   AutogradEngine(vae).trace(params[0], batch, params, 0), allowed, "huge logits");
    }
}

TEST_P(EveryVariantOfVaes, TensorsMayBeViewsOfOthers) {
  const auto vae = make_vae(nets()[7], at::kDouble);
  const auto engine = native(vae);
  Batch batch = make_batch(*vae, 13);
  const at::Tensor params = some_params(*vae, 1), weights = some_weights(*vae, 1, 13);
  const at::Tensor expected = engine->gradient(params, batch, weights);
  batch.instances = batch.instances.t().contiguous().t();
  batch.latents = batch.latents.t().contiguous().t();
  EXPECT_TRUE(same_bits(engine->gradient(params.expand({3, -1}), batch, weights.expand({3, -1})),
                        expected.expand({3, -1})));
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryVariantOfVaes, ::testing::ValuesIn(NativeEngine::variants()),
                         [](const auto& info) { return info.param; });

TEST(VaeEngine, AutoIsNativeForPerceptronsAndTorchForConvolutions) {
  const auto dense = std::make_shared<Vae>(test::small_mlp_vae(Likelihood::bernoulli));
  const auto convolutional = std::make_shared<Vae>(test::small_conv_vae(Likelihood::bernoulli));
  EXPECT_EQ(make_engine("auto", dense)->name(), "native");
  EXPECT_EQ(make_engine("torch", dense)->name(), "torch");
  EXPECT_EQ(make_engine("auto", convolutional)->name(), "torch");
  EXPECT_THROW(make_engine("native", convolutional), UsageError);
  EXPECT_THROW(NativeEngine(dense, "sse9"), UsageError);
}

TEST(VaeEngine, NoiseForOtherThanItsInstancesIsAnError) {
  const auto vae = make_vae(nets()[4], at::kDouble);
  Batch batch = make_batch(*vae, 5);
  batch.latents = batch.latents.narrow(0, 0, 4);
  EXPECT_THROW(NativeEngine(vae).gradient(some_params(*vae, 1), batch, at::ones({1, 5}, at::kDouble)), Error);
}

}  // namespace
}  // namespace whence
