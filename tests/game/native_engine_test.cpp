// The native engine against the LibTorch engine, for every compiled variant of its kernels.
#include "whence/game/native_engine.h"

#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/fcgan.h"

#include "support/engine_checks.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

using test::expect_alike;
using test::normals;
using test::relative_difference;
using test::same_bits;
using test::same_trace;

struct Net {
  std::int64_t width, latent;
  std::vector<std::int64_t> generator_hidden, discriminator_hidden;
  Activation hidden, output;
  bool biases;
  double l2;
};

// Every activation inside and as output, depth 1 to 4, widths from 1, with and without biases and L2.
const std::vector<Net>& nets() {
  static const std::vector<Net> all{
      {2, 3, {}, {}, Activation::relu, Activation::linear, false, 0},
      {1, 1, {1}, {1}, Activation::tanh, Activation::tanh, true, 0.2},
      {2, 3, {5}, {7}, Activation::relu, Activation::linear, false, 0},
      {3, 2, {2, 1}, {4, 2}, Activation::sigmoid, Activation::sigmoid, true, 0},
      {2, 10, {9, 16}, {17, 8}, Activation::relu, Activation::relu, true, 0.1},
      {2, 4, {6, 5, 4}, {3, 9, 1}, Activation::tanh, Activation::linear, false, 0.3},
      {5, 2, {3, 8, 2}, {12, 6, 3}, Activation::linear, Activation::sigmoid, true, 0.1},
      {11, 13, {19}, {2, 2, 2}, Activation::relu, Activation::tanh, true, 0},
      {2, 10, {32, 32}, {64, 64}, Activation::relu, Activation::linear, false, 0},
      {3, 4, {9, 5}, {18, 7}, Activation::leaky_relu, Activation::leaky_relu, true, 0.1},
  };
  return all;
}

std::shared_ptr<Fcgan> make_gan(const Net& net, at::ScalarType dtype) {
  return std::make_shared<Fcgan>(FcganOptions{net.width, net.latent, net.generator_hidden,
                                              net.discriminator_hidden, net.hidden, net.output, net.biases,
                                              net.l2, dtype});
}

Batch make_batch(const Net& net, std::int64_t real, std::int64_t fake, at::ScalarType dtype) {
  return {normals({real, net.width}, 21).to(dtype), normals({fake, net.latent}, 22).to(dtype), real + 1,
          true};
}

at::Tensor some_params(const Fcgan& gan, std::int64_t replicas, int seed = 5) {
  return (normals({replicas, gan.layout().size()}, seed) * 0.5).to(gan.dtype());
}

at::Tensor some_weights(const Fcgan& gan, std::int64_t replicas, std::int64_t instances) {
  at::Tensor weights = normals({replicas, instances}, 6).abs();
  weights.select(1, 0).zero_();
  return weights.to(gan.dtype());
}

class EveryVariant : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<NativeEngine> native(const std::shared_ptr<const Game>& game) const {
    return std::make_unique<NativeEngine>(game, GetParam());
  }
  static constexpr std::pair<at::ScalarType, double> types[] = {{at::kDouble, 1e-12}, {at::kFloat, 1e-5}};
};

TEST_P(EveryVariant, GradientIsThatOfTheTorchEngine) {
  for (const auto& [dtype, allowed] : types)
    for (std::size_t i = 0; i < nets().size(); ++i) {
      const auto gan = make_gan(nets()[i], dtype);
      for (const std::int64_t batch_size : {1, 7, 8, 33}) {
        const Batch batch = make_batch(nets()[i], batch_size, batch_size, dtype);
        const at::Tensor params = some_params(*gan, 3), weights = some_weights(*gan, 3, batch_size);
        const at::Tensor expected = AutogradEngine(gan).gradient(params, batch, weights);
        EXPECT_LT(relative_difference(native(gan)->gradient(params, batch, weights), expected), allowed)
            << "net " << i << ", batch " << batch_size << ", " << dtype;
      }
    }
}

TEST_P(EveryVariant, TraceIsThatOfTheTorchEngine) {
  for (const auto& [dtype, allowed] : types)
    for (std::size_t i = 0; i < nets().size(); ++i) {
      const auto gan = make_gan(nets()[i], dtype);
      for (const double kink : {0.0, 0.3, dtype == at::kFloat ? 0.5 : 1e-3}) {
        // Rounding changes a pre-activation a by some eps |a|, and so N(a; 0, h) by a relative eps a^2 / h^2
        // < eps / h wherever it is not 0: no two programs agree better than that.
        const double within = kink == 1e-3 ? 10 * allowed : allowed;
        for (const std::int64_t batch_size : {1, 9, 32}) {
          const Batch batch = make_batch(nets()[i], batch_size, batch_size, dtype);
          const at::Tensor params = some_params(*gan, 1)[0], queries = some_params(*gan, 3, 8);
          const TracedStep expected = AutogradEngine(gan).trace(params, batch, queries, kink);
          const TracedStep actual = native(gan)->trace(params, batch, queries, kink);
          expect_alike(
              actual, expected, within,
              fmt::format("net {}, batch {}, kink {}, {}", i, batch_size, kink, c10::toString(dtype)));
        }
      }
    }
}

TEST_P(EveryVariant, ManyReplicasAndQueriesAgreeWithTheTorchEngineAndBitForBitWithOneAtATime) {
  const Net& net = nets()[4];
  for (const auto& [dtype, allowed] : types) {
    const auto gan = make_gan(net, dtype);
    const auto engine = native(gan);
    const Batch batch = make_batch(net, 13, 13, dtype);
    for (const std::int64_t count : {1, 3, 200}) {
      const at::Tensor params = some_params(*gan, count), weights = some_weights(*gan, count, 13);
      const at::Tensor together = engine->gradient(params, batch, weights);
      EXPECT_LT(relative_difference(together, AutogradEngine(gan).gradient(params, batch, weights)), allowed);
      const at::Tensor queries = some_params(*gan, count, 8);
      const TracedStep traced = engine->trace(params[0], batch, queries, 0.3);
      const TracedStep expected = AutogradEngine(gan).trace(params[0], batch, queries, 0.3);
      expect_alike(traced, expected, allowed);
      test::expect_bits_of_one_at_a_time(*engine, *native(gan), batch, params, weights);
    }
  }
}

TEST_P(EveryVariant, ThreadsDoNotChangeABit) {
  const Net& net = nets()[4];
  const auto gan = make_gan(net, at::kDouble);
  const auto engine = native(gan);
  const Batch batch = make_batch(net, 13, 13, at::kDouble);
  const at::Tensor params = some_params(*gan, 20), weights = some_weights(*gan, 20, 13);
  const at::Tensor gradient = engine->gradient(params, batch, weights);
  const TracedStep traced = engine->trace(params[0], batch, params, 0.3);
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_TRUE(same_bits(engine->gradient(params, batch, weights), gradient));
  EXPECT_TRUE(same_trace(engine->trace(params[0], batch, params, 0.3), traced));
  at::set_num_threads(threads);
}

TEST_P(EveryVariant, SlicesOfABatchAddUpToTheWhole) {
  const Net& net = nets()[4];
  const auto gan = make_gan(net, at::kDouble);
  const auto engine = native(gan);
  const Batch batch = make_batch(net, 21, 21, at::kDouble);
  const at::Tensor params = some_params(*gan, 1), queries = some_params(*gan, 2, 8);
  const at::Tensor weights = some_weights(*gan, 1, 21);
  at::Tensor gradient = at::zeros_like(params), jacobian = at::zeros_like(queries);
  // A slice may hold real instances only, latents only, or nothing.
  const std::int64_t real[] = {0, 10, 10, 10, 21}, fake[] = {0, 4, 21, 21, 21};
  for (int part = 0; part < 4; ++part) {
    const std::int64_t instances = real[part + 1] - real[part], latents = fake[part + 1] - fake[part];
    const Batch slice{batch.instances.narrow(0, real[part], instances),
                      batch.latents.narrow(0, fake[part], latents), batch.divisor, part == 2};
    gradient += engine->gradient(params, slice, weights.narrow(1, real[part], instances));
    const TracedStep traced = engine->trace(params[0], slice, queries, 0.3);
    jacobian += traced.u_jacobian;
    EXPECT_EQ(traced.u_instance.size(1), instances);
  }
  EXPECT_LT(relative_difference(gradient, engine->gradient(params, batch, weights)), 1e-14);
  EXPECT_LT(relative_difference(jacobian, engine->trace(params[0], batch, queries, 0.3).u_jacobian), 1e-13);
}

TEST_P(EveryVariant, ARemovedInstanceLeavesNoTrace) {
  const Net& net = nets()[4];
  const auto gan = make_gan(net, at::kDouble);
  const auto engine = native(gan);
  Batch batch = make_batch(net, 13, 13, at::kDouble);
  const at::Tensor params = some_params(*gan, 1), weights = some_weights(*gan, 1, 13);
  ASSERT_EQ(weights[0][0].item<double>(), 0);
  const at::Tensor before = engine->gradient(params, batch, weights);
  batch.instances[0] = 77;
  EXPECT_TRUE(same_bits(engine->gradient(params, batch, weights), before));
}

TEST_P(EveryVariant, NaNInAnyParameterReachesTheGradientAndTheTrace) {
  for (const std::size_t i : {4, 5, 7}) {
    const auto gan = make_gan(nets()[i], at::kDouble);
    const auto engine = native(gan);
    const Batch batch = make_batch(nets()[i], 5, 5, at::kDouble);
    test::expect_nan_to_spread(*gan, *engine, batch, some_params(*gan, 1), some_params(*gan, 1, 8));
  }
}

TEST_P(EveryVariant, WorkingMemoryKeepsNothingFromEarlierCalls) {
  const Net& net = nets()[4];
  const auto gan = make_gan(net, at::kDouble);
  const auto used = native(gan);
  for (const std::int64_t size : {13, 5, 13})
    test::expect_nothing_kept(
        *used, [&] { return native(gan); }, make_batch(net, size, size, at::kDouble), some_params(*gan, 1),
        some_weights(*gan, 1, size));
}

// Logits of some thousands: e^d overflows, and sigmoid(d) is 0 for some and 1 for others.
TEST_P(EveryVariant, HugeLogitsAreThoseOfTheTorchEngine) {
  const Net& net = nets()[2];
  for (const auto& [dtype, allowed] : types) {
    const auto gan = make_gan(net, dtype);
    const Batch batch = make_batch(net, 11, 11, dtype);
    const at::Tensor params = some_params(*gan, 1) * 60, weights = some_weights(*gan, 1, 11);
    const at::Tensor expected = AutogradEngine(gan).gradient(params, batch, weights);
    EXPECT_LT(relative_difference(native(gan)->gradient(params, batch, weights), expected), allowed);
    const TracedStep traced = native(gan)->trace(params[0], batch, params, 0);
    const TracedStep reference = AutogradEngine(gan).trace(params[0], batch, params, 0);
    expect_alike(traced, reference, allowed);
  }
}

TEST_P(EveryVariant, TensorsMayBeViewsOfOthers) {
  const Net& net = nets()[4];
  const auto gan = make_gan(net, at::kDouble);
  const auto engine = native(gan);
  Batch batch = make_batch(net, 13, 13, at::kDouble);
  const at::Tensor params = some_params(*gan, 1), weights = some_weights(*gan, 1, 13);
  const at::Tensor expected = engine->gradient(params, batch, weights);
  batch.instances = batch.instances.t().contiguous().t();
  const at::Tensor three = engine->gradient(params.expand({3, -1}), batch, weights.expand({3, -1}));
  EXPECT_TRUE(same_bits(three, expected.expand({3, -1})));
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryVariant, ::testing::ValuesIn(NativeEngine::variants()),
                         [](const auto& info) { return info.param; });

TEST(MakeEngine, AutoIsNativeWhereItApplies) {
  const auto gan = make_gan(nets()[0], at::kDouble);
  const auto quadratic = std::make_shared<test::QuadraticGame>(2, false, 0.0);
  EXPECT_EQ(make_engine("auto", gan)->name(), "native");
  EXPECT_EQ(make_engine("native", gan)->name(), "native");
  EXPECT_EQ(make_engine("torch", gan)->name(), "torch");
  EXPECT_EQ(make_engine("auto", quadratic)->name(), "torch");
  EXPECT_THROW(make_engine("native", quadratic), UsageError);
  EXPECT_THROW(make_engine("fast", gan), UsageError);
}

TEST(NativeVariants, PortableIsAlwaysAmongThem) {
  EXPECT_EQ(NativeEngine::variants().back(), "portable");
  EXPECT_THROW(NativeEngine(make_gan(nets()[0], at::kDouble), "sse9"), UsageError);
}

}  // namespace
}  // namespace whence
