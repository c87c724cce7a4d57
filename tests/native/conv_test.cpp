// Convolutional networks: layers against LibTorch's own, native kernels against automatic differentiation and
// finite differences, for every compiled variant.
#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/classifier.h"
#include "whence/game/dcgan.h"
#include "whence/game/native_engine.h"
#include "whence/game/trained_classifier.h"
#include "whence/native/conv_function.h"

#include "support/numbers.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;
using test::same_bits;
using torch::autograd::grad;

std::shared_ptr<const Dcgan> make_gan(std::int64_t channels, at::ScalarType dtype, double l2 = 0.05) {
  return std::make_shared<Dcgan>(DcganOptions{5, channels, l2, dtype});
}

// Gains, offsets and biases away from where they start.
at::Tensor some_params(const Game& game, std::int64_t replicas, int seed = 3) {
  const at::Tensor start = game.initial_parameters(1).to(at::kDouble);
  return (start + normals({replicas, game.layout().size()}, seed) * 0.2).to(game.dtype());
}

Batch make_batch(std::int64_t real, std::int64_t fake, at::ScalarType dtype, bool penalty = true) {
  return {at::tanh(normals({real, 784}, 21)).to(dtype), normals({fake, 5}, 22).to(dtype), 23, penalty};
}

// The layer by LibTorch's modules; weights [k, k, in, out] of ours in their order.
at::Tensor by_modules(const Stage& stage, const std::vector<at::Tensor>& tensors, const at::Tensor& x) {
  const Layer& layer = stage.layer;
  const at::Tensor h = x.reshape({x.size(0), stage.in.channels, stage.in.height, stage.in.width});
  if (layer.kind == LayerKind::pool) return at::max_pool2d(h, {2, 2}).flatten(1);
  const at::Tensor weight = tensors[stage.first][0], bias = tensors[stage.first + 1][0];
  at::Tensor y = layer.kind == LayerKind::convolution
                     ? at::conv2d(h, weight.permute({3, 2, 0, 1}), bias, {layer.stride, layer.stride},
                                  {layer.padding, layer.padding})
                     : at::conv_transpose2d(h, weight.permute({2, 3, 0, 1}), bias,
                                            {layer.stride, layer.stride}, {layer.padding, layer.padding});
  if (layer.activation == Activation::sigmoid) y = at::sigmoid(y);
  if (layer.activation == Activation::tanh) y = at::tanh(y);
  if (layer.norm) {
    const auto spread = [&](const at::Tensor& by_channel) {
      return by_channel.reshape({-1, 1, 1}).expand(y.sizes().slice(1)).contiguous();
    };
    y = at::layer_norm(y, y.sizes().slice(1), spread(tensors[stage.first + 2][0]),
                       spread(tensors[stage.first + 3][0]), 1e-12);
  }
  return y.flatten(1);
}

at::Tensor by_modules(const Network& net, const std::vector<at::Tensor>& tensors, at::Tensor x) {
  for (const Stage& stage : net.stages()) x = by_modules(stage, tensors, x);
  return x;
}

// Every kind of layer, odd sizes, strides that do not divide, paddings.
const std::vector<std::pair<ImageSize, std::vector<Layer>>>& layer_lists() {
  constexpr auto conv = LayerKind::convolution, transposed = LayerKind::transposed, pool = LayerKind::pool;
  static const std::vector<std::pair<ImageSize, std::vector<Layer>>> lists{
      {{1, 9, 9}, {{conv, 4, 1, 0, 3, Activation::sigmoid, true}}},
      {{3, 8, 7}, {{conv, 3, 2, 0, 11, Activation::tanh, true}}},
      {{2, 7, 6}, {{conv, 5, 1, 2, 5, Activation::linear, false}}},
      {{13, 1, 1}, {{transposed, 2, 1, 0, 9, Activation::sigmoid, true}}},
      {{3, 4, 5}, {{transposed, 3, 2, 0, 2, Activation::sigmoid, true}}},
      {{2, 5, 5}, {{transposed, 4, 1, 1, 1, Activation::tanh, false}}},
      {{2, 4, 4}, {{transposed, 4, 3, 0, 6, Activation::linear, true}}},
      {{2, 7, 6},
       {{pool, 2, 2, 0, 0, Activation::linear, false}, {conv, 3, 1, 0, 8, Activation::sigmoid, false}}},
  };
  return lists;
}

class EveryLayer : public ::testing::TestWithParam<int> {};

TEST_P(EveryLayer, EqualsLibTorchsModules) {
  const auto& [input, layers] = layer_lists()[GetParam()];
  ParameterLayout layout({"player"});
  const Network net(layout, 0, "net", input, layers);
  const at::Tensor params = normals({2, layout.size()}, 5) * 0.7, x = normals({11, input.values()}, 6);
  const at::Tensor ours = net.forward(layout.views(params), x);
  for (std::int64_t r = 0; r < 2; ++r) {
    const at::Tensor expected = by_modules(net, layout.views(params.narrow(0, r, 1)), x);
    EXPECT_LT(relative_difference(ours[r], expected), 1e-13);
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      const ConvFunction native(net, dtype);
      const at::Tensor y = native.forward(params[r].to(dtype), x.to(dtype), {layers.size() - 1})[0];
      EXPECT_LT(relative_difference(y.to(at::kDouble), expected), dtype == at::kDouble ? 1e-13 : 1e-5);
    }
  }
}

TEST_P(EveryLayer, NativePullBackEqualsAutogradThroughTheModules) {
  const auto& [input, layers] = layer_lists()[GetParam()];
  ParameterLayout layout({"player"});
  const Network net(layout, 0, "net", input, layers);
  const at::Tensor theta = (normals({layout.size()}, 5) * 0.7).requires_grad_();
  const at::Tensor x = normals({11, input.values()}, 6).requires_grad_();
  const at::Tensor y = by_modules(net, layout.views(theta.unsqueeze(0)), x), by = normals(y.sizes().vec(), 7);
  const auto expected = grad({y}, {x, theta}, {by});
  const ConvFunction native(net, at::kDouble);
  at::Tensor by_theta = at::zeros({layout.size()}, at::kDouble);
  const at::Tensor by_x =
      native.pull_back(theta.detach(), x.detach(), {layers.size() - 1}, {by}, true, by_theta);
  EXPECT_LT(relative_difference(by_x, expected[0]), 1e-12);
  EXPECT_LT(relative_difference(by_theta, expected[1]), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Conv, EveryLayer, ::testing::Range(0, 8));

TEST(Dcgan, HasThePublishedShapes) {
  const auto gan = std::make_shared<Dcgan>(DcganOptions{32, 8, 1e-3, at::kFloat});
  std::vector<std::int64_t> generator, discriminator;
  for (const Stage& stage : gan->generator_network().stages()) generator.push_back(stage.out.height);
  for (const Stage& stage : gan->discriminator_network().stages()) discriminator.push_back(stage.out.height);
  EXPECT_EQ(generator, (std::vector<std::int64_t>{2, 4, 9, 10, 12, 25, 28, 28}));
  EXPECT_EQ(discriminator, (std::vector<std::int64_t>{25, 12, 10, 9, 4, 2, 1, 1}));
  const auto tensors = gan->layout().views(gan->initial_parameters(1).unsqueeze(0));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string& name = gan->layout().specs()[i].name;
    const auto named = [&](const char* part) { return name.find(part) != std::string::npos; };
    EXPECT_EQ((tensors[i] == 1).all().item<bool>(), named(".gain")) << name;
    EXPECT_EQ((tensors[i] == 0).all().item<bool>(), named(".bias") || named(".offset")) << name;
  }
}

TEST(Dcgan, LossesEqualThoseOfTheModules) {
  const auto gan = make_gan(3, at::kDouble);
  const at::Tensor params = some_params(*gan, 1), weights = normals({1, 9}, 8).abs();
  const auto tensors = gan->layout().views(params);
  const Batch batch = make_batch(9, 4, at::kDouble);
  const auto losses = gan->losses(tensors, batch, weights, 0);
  const at::Tensor real = by_modules(gan->discriminator_network(), tensors, batch.instances).flatten();
  const at::Tensor fake = by_modules(gan->discriminator_network(), tensors,
                                     by_modules(gan->generator_network(), tensors, batch.latents))
                              .flatten();
  const auto softplus = [](const at::Tensor& x) { return x.exp().log1p(); };
  at::Tensor generator = softplus(-fake).sum() / 23;
  at::Tensor discriminator = ((weights[0] * softplus(-real)).sum() + softplus(fake).sum()) / 23;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (gan->layout().specs()[i].is_kernel)
      (gan->layout().specs()[i].player == 0 ? generator : discriminator) += 0.025 * tensors[i].square().sum();
  EXPECT_NEAR(losses[0][0].item<double>(), generator.item<double>(), 1e-12);
  EXPECT_NEAR(losses[1][0].item<double>(), discriminator.item<double>(), 1e-12);
}

class EveryConvVariant : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryConvVariant, GradientEqualsAutograd) {
  for (const std::int64_t channels : {3, 8}) {
    const auto gan = make_gan(channels, at::kDouble);
    const NativeEngine native(gan, GetParam());
    const AutogradEngine torch(gan);
    for (const auto& [real, fake] : {std::pair<std::int64_t, std::int64_t>{9, 17}, {0, 3}, {16, 0}}) {
      const at::Tensor params = some_params(*gan, 2), weights = normals({2, real}, 9).abs();
      if (real > 2) weights.narrow(1, 1, 1).zero_();
      const Batch batch = make_batch(real, fake, at::kDouble, real != 0);
      const at::Tensor expected = torch.gradient(params, batch, weights);
      EXPECT_LT(relative_difference(native.gradient(params, batch, weights), expected), 1e-12)
          << channels << " channels, " << real << " + " << fake;
      const auto narrow = make_gan(channels, at::kFloat);
      const NativeEngine single(narrow, GetParam());
      const at::Tensor rounded = single.gradient(
          params.to(at::kFloat), make_batch(real, fake, at::kFloat, real != 0), weights.to(at::kFloat));
      EXPECT_LT(relative_difference(rounded.to(at::kDouble), expected), 2e-5);
    }
  }
}

TEST_P(EveryConvVariant, TraceEqualsAutograd) {
  for (const std::int64_t channels : {3, 8}) {
    const auto gan = make_gan(channels, at::kDouble);
    const NativeEngine native(gan, GetParam());
    const at::Tensor theta = some_params(*gan, 1)[0], u = normals({3, gan->layout().size()}, 10);
    const Batch batch = make_batch(9, 17, at::kDouble);
    const TracedStep expected = AutogradEngine(gan).trace(theta, batch, u, 0);
    const TracedStep traced = native.trace(theta, batch, u, 1e-3);
    EXPECT_LT(relative_difference(traced.u_jacobian, expected.u_jacobian), 1e-11);
    EXPECT_LT(relative_difference(traced.u_instance, expected.u_instance), 1e-11);
    const NativeEngine single(make_gan(channels, at::kFloat), GetParam());
    const TracedStep rounded =
        single.trace(theta.to(at::kFloat), make_batch(9, 17, at::kFloat), u.to(at::kFloat), 0);
    EXPECT_LT(relative_difference(rounded.u_jacobian.to(at::kDouble), expected.u_jacobian), 1e-4);
    EXPECT_LT(relative_difference(rounded.u_instance.to(at::kDouble), expected.u_instance), 1e-4);
  }
}

// A discriminator so sure of itself that sigmoids underflow: factors of single samples, not of whole passes.
TEST_P(EveryConvVariant, SaturatedLogitsLoseNoDigits) {
  for (const double shift : {-60.0, 60.0}) {
    const auto gan = make_gan(3, at::kDouble, 0), narrow = make_gan(3, at::kFloat, 0);
    at::Tensor params = some_params(*gan, 1);
    params[0][gan->discriminator_network().stages().back().bias] = shift;
    const Batch batch = make_batch(9, 9, at::kDouble), single = make_batch(9, 9, at::kFloat);
    const at::Tensor present = at::ones({1, 9}, at::kDouble);
    const at::Tensor expected = AutogradEngine(gan).gradient(params, batch, present);
    EXPECT_LT(relative_difference(NativeEngine(gan, GetParam()).gradient(params, batch, present), expected),
              1e-11);
    const at::Tensor rounded = NativeEngine(narrow, GetParam())
                                   .gradient(params.to(at::kFloat), single, present.to(at::kFloat))
                                   .to(at::kDouble);
    EXPECT_LT(relative_difference(rounded, expected), 1e-4) << shift;
  }
}

INSTANTIATE_TEST_SUITE_P(Conv, EveryConvVariant, ::testing::ValuesIn(NativeEngine::conv_variants()),
                         [](const auto& info) { return info.param; });

// Neither engine: u^T J v by differences of the gradient along v, and the influence by differences in w_j.
TEST(ConvTrace, AgreesWithFiniteDifferences) {
  const auto gan = make_gan(3, at::kDouble);
  const NativeEngine native(gan);
  const at::Tensor theta = some_params(*gan, 1)[0], u = normals({2, gan->layout().size()}, 11);
  const Batch batch = make_batch(10, 10, at::kDouble);
  const at::Tensor present = at::ones({1, 10}, at::kDouble);
  const TracedStep traced = native.trace(theta, batch, u, 0);
  const double step = 1e-6;
  for (int i = 0; i < 3; ++i) {
    const at::Tensor v = normals({gan->layout().size()}, 12 + i);
    const at::Tensor difference = (native.gradient((theta + step * v).unsqueeze(0), batch, present) -
                                   native.gradient((theta - step * v).unsqueeze(0), batch, present))[0] /
                                  (2 * step);
    const at::Tensor expected = u.matmul(difference);
    EXPECT_LT(relative_difference(traced.u_jacobian.matmul(v), expected), 1e-6);
  }
  for (const std::int64_t j : {0, 9}) {
    at::Tensor more = present.clone();
    more[0][j] = 2;
    const at::Tensor change = u.matmul((native.gradient(theta.unsqueeze(0), batch, more) -
                                        native.gradient(theta.unsqueeze(0), batch, present))[0]);
    EXPECT_LT(relative_difference(traced.u_instance.select(1, j), change), 1e-9);
  }
}

TEST(ConvEngines, ReplicasTogetherAreReplicasOneAtATimeBitForBit) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const auto gan = make_gan(3, dtype);
    const Batch batch = make_batch(7, 6, dtype);
    const at::Tensor params = some_params(*gan, 5), weights = normals({5, 7}, 13).abs().to(dtype);
    for (const std::string name : {"native", "torch"}) {
      const auto engine = make_engine(name, gan);
      const at::Tensor together = engine->gradient(params, batch, weights);
      for (std::int64_t r = 0; r < 5; ++r)
        EXPECT_TRUE(same_bits(together.narrow(0, r, 1),
                              engine->gradient(params.narrow(0, r, 1), batch, weights.narrow(0, r, 1))))
            << name << ", replica " << r;
    }
  }
}

TEST(ConvEngines, SlicesOfABatchAddUpToTheWhole) {
  const auto gan = make_gan(3, at::kDouble);
  const NativeEngine engine(gan);
  const Batch batch = make_batch(9, 9, at::kDouble);
  const at::Tensor params = some_params(*gan, 1), u = normals({1, gan->layout().size()}, 14);
  const auto slice = [&](std::int64_t begin, std::int64_t count) {
    return Batch{batch.instances.narrow(0, begin, count), batch.latents.narrow(0, begin, count), 23,
                 begin == 0};
  };
  const auto present = [](std::int64_t count) { return at::ones({1, count}, at::kDouble); };
  const at::Tensor parts =
      engine.gradient(params, slice(0, 4), present(4)) + engine.gradient(params, slice(4, 5), present(5));
  EXPECT_LT(relative_difference(parts, engine.gradient(params, batch, present(9))), 1e-13);
  const at::Tensor traced = engine.trace(params[0], slice(0, 4), u, 0).u_jacobian +
                            engine.trace(params[0], slice(4, 5), u, 0).u_jacobian;
  EXPECT_LT(relative_difference(traced, engine.trace(params[0], batch, u, 0).u_jacobian), 1e-13);
}

TEST(Samples, NativeGenerationAndPullBackEqualAutograd) {
  const auto gan = make_gan(8, at::kDouble);
  const at::Tensor theta = some_params(*gan, 1)[0], z = normals({19, 5}, 15), by = normals({19, 784}, 16);
  const at::Tensor expected = gan->generate(gan->layout().views(theta.unsqueeze(0)), z, 0)[0];
  EXPECT_LT(relative_difference(gan->samples(theta, z), expected), 1e-13);
  EXPECT_LT(relative_difference(gan->samples_pull_back(theta, z, by),
                                gan->AdversarialGame::samples_pull_back(theta, z, by)),
            1e-12);
}

Batch labelled(at::ScalarType dtype) {
  Batch batch{at::tanh(normals({9, 784}, 31)).to(dtype), at::zeros({9, 0}, dtype), 11};
  batch.labels = at::tensor({0, 3, 9, 9, 1, 2, 7, 0, 5}, at::kLong);
  return batch;
}

TEST(Classifier, GradientByNativeKernelsEqualsAutograd) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const auto game = std::make_shared<Classifier>(ClassifierOptions{28, 10, 8, 0.1, dtype});
    const at::Tensor params = some_params(*game, 2), weights = normals({2, 9}, 32).abs().to(dtype);
    const Batch batch = labelled(dtype);
    const at::Tensor expected = AutogradEngine(game).gradient(params, batch, weights);
    EXPECT_LT(relative_difference(NativeEngine(game).gradient(params, batch, weights), expected),
              dtype == at::kDouble ? 1e-12 : 1e-4);
  }
}

TEST(Classifier, LossIsCrossEntropyOfTheModules) {
  const auto game = std::make_shared<Classifier>(ClassifierOptions{28, 10, 4, 0, at::kDouble});
  const at::Tensor params = some_params(*game, 1), weights = normals({1, 9}, 33).abs();
  const Batch batch = labelled(at::kDouble);
  const at::Tensor logits = by_modules(game->network(), game->layout().views(params), batch.instances);
  double expected = 0;
  for (std::int64_t j = 0; j < 9; ++j)
    expected +=
        weights[0][j].item<double>() *
        (logits[j].exp().sum().log() - logits[j][batch.labels[j].item<std::int64_t>()]).item<double>() / 11;
  EXPECT_NEAR(game->losses(game->layout().views(params), batch, weights, 0)[0].item<double>(), expected,
              1e-12);
  Batch without = batch;
  without.labels = at::Tensor();
  EXPECT_THROW(game->losses(game->layout().views(params), without, weights, 0), Error);
}

TEST(Classifier, PullBackOfFeaturesAndLogitsEqualsAutograd) {
  const auto game = std::make_shared<Classifier>(ClassifierOptions{28, 10, 4, 0, at::kDouble});
  const TrainedClassifier trained{game, some_params(*game, 1)[0]};
  const at::Tensor x = labelled(at::kDouble).instances.clone().requires_grad_();
  const auto tensors = game->layout().views(trained.params.unsqueeze(0));
  at::Tensor features = x;
  for (std::size_t i = 0; i < game->logit_stage(); ++i)
    features = by_modules(game->network().stages()[i], tensors, features);
  const at::Tensor logits = by_modules(game->network().stages().back(), tensors, features);
  const auto outputs = trained(x.detach());
  EXPECT_LT(relative_difference(outputs.features, features.detach()), 1e-13);
  EXPECT_LT(relative_difference(outputs.logits, logits.detach()), 1e-12);
  const at::Tensor by_feature = normals({9, 128}, 34), by_logit = normals({9, 10}, 35);
  const at::Tensor expected = grad({features, logits}, {x}, {by_feature, by_logit})[0];
  EXPECT_LT(relative_difference(trained.pull_back(x.detach(), by_feature, by_logit), expected), 1e-12);
}

}  // namespace
}  // namespace whence
