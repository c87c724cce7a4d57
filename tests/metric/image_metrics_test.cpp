// IS, log IS and FID: values against NumPy and SciPy on the same numbers, derivatives against finite
// differences.
#include "whence/metric/image_metrics.h"

#include <cmath>
#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"
#include "whence/game/classifier.h"
#include "whence/game/dcgan.h"
#include "whence/game/fcgan.h"
#include "whence/game/trained_classifier.h"

#include "metric/image_golden.h"
#include "support/numbers.h"

namespace whence {
namespace {

using test::congruential;
using test::normals;
using test::relative_difference;

TEST(Golden, FrechetDistanceAndInceptionScoreEqualSciPys) {
  for (const test::ImageCase& c : test::image_cases) {
    const at::Tensor real = congruential(c.samples, c.width, 1, c.scale),
                     generated = 0.7 * congruential(c.samples, c.width, 2, c.scale) + 0.1;
    EXPECT_NEAR(frechet_distance(moments_of(real), moments_of(generated)), c.fid, 1e-10 * c.fid);
    EXPECT_NEAR(frechet_distance(moments_of(real.to(at::kFloat)), moments_of(generated.to(at::kFloat))),
                c.fid, 1e-5 * c.fid);
    EXPECT_NEAR(log_inception_score(at::log_softmax(generated, 1)), c.log_is, 1e-10 * c.log_is);
    EXPECT_NEAR(log_inception_score(at::log_softmax(generated.to(at::kFloat).to(at::kDouble), 1)), c.log_is,
                1e-5 * c.log_is);
  }
}

// Central differences of the distance as a function of the generated features, along some directions.
void expect_gradient(const at::Tensor& real, const at::Tensor& generated, const at::Tensor& direction) {
  const Moments of_real = moments_of(real), moments = moments_of(generated);
  const Moments by = frechet_gradient(of_real, moments);
  const at::Tensor by_feature =
      by.mean / generated.size(0) +
      (generated - moments.mean).matmul(by.covariance) * (2.0 / (generated.size(0) - 1));
  const double step = 1e-5;
  const double difference = (frechet_distance(of_real, moments_of(generated + step * direction)) -
                             frechet_distance(of_real, moments_of(generated - step * direction))) /
                            (2 * step);
  EXPECT_NEAR((by_feature * direction).sum().item<double>(), difference, 1e-6 * std::abs(difference));
}

TEST(FrechetGradient, IsTheDerivativeForFullRank) {
  for (int i = 0; i < 3; ++i)
    expect_gradient(normals({60, 7}, 1), normals({50, 7}, 2) * 0.6 + 0.2, normals({50, 7}, 3 + i));
}

// Eigenvalues that are equal, where derivatives of eigenvectors are infinite.
TEST(FrechetGradient, IsTheDerivativeForEqualEigenvalues) {
  const at::Tensor axes = at::cat({at::eye(6, at::kDouble), -at::eye(6, at::kDouble)});
  for (int i = 0; i < 3; ++i) expect_gradient(axes * 2, axes * 0.5, normals({12, 6}, 10 + i));
}

// Fewer samples than features, and features that never change: the covariances are rank deficient; the
// directions keep the generated features within their span.
TEST(FrechetGradient, IsTheDerivativeForDeficientRank) {
  const at::Tensor mix = normals({3, 8}, 20);
  for (int i = 0; i < 3; ++i)
    expect_gradient(normals({40, 8}, 21), normals({30, 3}, 22).matmul(mix),
                    normals({30, 3}, 23 + i).matmul(mix));
  at::Tensor dead = normals({40, 8}, 24);
  dead.select(1, 2).fill_(0.5);
  for (int i = 0; i < 3; ++i) expect_gradient(dead, normals({30, 8}, 25) * 0.7, normals({30, 8}, 26 + i));
}

struct Setting {
  std::shared_ptr<const Dcgan> gan;
  Validation validation;
  at::Tensor theta;
};

Setting make_setting(at::ScalarType dtype) {
  const auto gan = std::make_shared<Dcgan>(DcganOptions{4, 3, 0, dtype});
  const auto network = std::make_shared<Classifier>(ClassifierOptions{28, 10, 3, 0, dtype});
  const at::Tensor judge =
      (network->initial_parameters(2).to(at::kDouble) + normals({network->layout().size()}, 41) * 0.3)
          .to(dtype);
  const at::Tensor theta =
      (gan->initial_parameters(1).to(at::kDouble) + normals({gan->layout().size()}, 42) * 0.3).to(dtype);
  return {gan,
          {at::tanh(normals({150, 784}, 43)).to(dtype), normals({160, 4}, 44).to(dtype),
           std::make_shared<TrainedClassifier>(TrainedClassifier{network, judge})},
          theta};
}

// The outputs of the network's stage before the last, by LibTorch.
at::Tensor features_by_torch(const Classifier& network, const std::vector<at::Tensor>& tensors,
                             const at::Tensor& images) {
  ParameterLayout layout({"classifier"});
  std::vector<Layer> layers;
  for (const Stage& stage : network.network().stages()) layers.push_back(stage.layer);
  layers.pop_back();
  const Network without_last(layout, 0, "features", network.network().input(), layers);
  return without_last.forward(tensors, images)[0];
}

class ImageMetrics : public ::testing::TestWithParam<const char*> {};

// Through LibTorch's graph of both networks. For FID its derivative by the features is held (differences of
// it are above).
at::Tensor by_autograd(const std::string& name, const Setting& s) {
  const at::Tensor theta = s.theta.clone().requires_grad_();
  const at::Tensor images =
      s.gan->generate(s.gan->layout().views(theta.unsqueeze(0)), s.validation.latents, 0)[0];
  const auto& network = dynamic_cast<const Classifier&>(*s.validation.classifier->network);
  const auto tensors = network.layout().views(s.validation.classifier->params.unsqueeze(0));
  if (name == "fid") {
    const at::Tensor real = (*s.validation.classifier)(s.validation.held_out).features;
    const at::Tensor found = (*s.validation.classifier)(images.detach()).features;
    const Moments by = frechet_gradient(moments_of(real), moments_of(found));
    const at::Tensor by_feature = by.mean / 160 + (found - found.mean(0)).matmul(by.covariance) * (2.0 / 159);
    const at::Tensor features = features_by_torch(network, tensors, images);
    return torch::autograd::grad({(features * by_feature).sum()}, {theta})[0];
  }
  const at::Tensor p = at::softmax(network.network().forward(tensors, images)[0], 1);
  const at::Tensor log_score = (p * (p.log() - p.mean(0).log())).sum(1).mean();
  return torch::autograd::grad({name == "is" ? log_score.exp() : log_score}, {theta})[0];
}

TEST_P(ImageMetrics, GradientIsAutogradsOnAnyNumberOfRanks) {
  const Communicator world(MPI_COMM_WORLD);
  const Setting s = make_setting(at::kDouble);
  const auto metric = make_metrics({GetParam()}, s.gan, s.validation).front();
  const at::Tensor gradient = metric->gradient(s.theta, world);
  EXPECT_LT(relative_difference(gradient, by_autograd(GetParam(), s)), 1e-9);
  const auto [begin, end] = s.gan->layout().block(1);
  EXPECT_EQ(gradient.narrow(0, begin, end - begin).abs().max().item<double>(), 0);
  double share = 0;
  const Evaluation at_once = metric->evaluate(s.theta, world, [&](double done) {
    EXPECT_GE(done, share);
    share = done;
  });
  EXPECT_EQ(share, 1);
  EXPECT_TRUE(at_once.gradient.equal(gradient));
  const double alone = metric->value(s.theta.unsqueeze(0))[0].item<double>();
  EXPECT_NEAR(at_once.value, alone, 1e-11 * std::abs(alone));
}

TEST(ImageMetrics, FidOfOneImageIsRefused) {
  Setting s = make_setting(at::kDouble);
  s.validation.held_out = s.validation.held_out.narrow(0, 0, 1);
  EXPECT_THROW(make_metrics({"fid"}, s.gan, s.validation), UsageError);
}

// Differences by theta: steps so small that few maxima of the pools change places.
TEST_P(ImageMetrics, GradientIsTheDerivativeOfTheValue) {
  const Setting s = make_setting(at::kDouble);
  const auto metric = make_metrics({GetParam()}, s.gan, s.validation).front();
  const at::Tensor gradient = metric->gradient(s.theta, Communicator(MPI_COMM_SELF));
  for (int i = 0; i < 2; ++i) {
    const at::Tensor v = normals({s.gan->layout().size()}, 45 + i);
    const double step = 1e-7;
    const at::Tensor values = metric->value(at::stack({s.theta + step * v, s.theta - step * v}));
    const double expected = (values[0] - values[1]).item<double>() / (2 * step);
    EXPECT_NEAR((gradient * v).sum().item<double>(), expected, 1e-4 * std::abs(expected));
  }
}

TEST_P(ImageMetrics, ReplicasDoNotDependOnEachOtherAndFloat32Agrees) {
  const Setting wide = make_setting(at::kDouble), narrow = make_setting(at::kFloat);
  const auto metric = make_metrics({GetParam()}, wide.gan, wide.validation).front();
  const at::Tensor params = at::stack({wide.theta, wide.theta * 1.1});
  const at::Tensor together = metric->value(params);
  for (std::int64_t r = 0; r < 2; ++r)
    EXPECT_EQ(together[r].item<double>(), metric->value(params.narrow(0, r, 1))[0].item<double>());
  const at::Tensor rounded =
      make_metrics({GetParam()}, narrow.gan, narrow.validation).front()->value(params.to(at::kFloat));
  EXPECT_LT(relative_difference(rounded, together), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, ImageMetrics, ::testing::Values("is", "log-is", "fid"));

TEST(ImageMetrics, NeedAClassifierForSuchImages) {
  const Setting s = make_setting(at::kDouble);
  EXPECT_THROW(make_metrics({"fid"}, s.gan, {s.validation.held_out, s.validation.latents}), UsageError);
  const auto plane = std::make_shared<Fcgan>(
      FcganOptions{2, 4, {3}, {3}, Activation::tanh, Activation::linear, true, 0, at::kDouble});
  EXPECT_THROW(make_metrics({"is"}, plane, {normals({5, 2}, 1), normals({5, 4}, 2), s.validation.classifier}),
               UsageError);
}

TEST(LargerIsBetter, KnowsEveryMetric) {
  for (const char* name : {"all", "is", "log-is"}) EXPECT_TRUE(larger_is_better("metric", name));
  for (const char* name : {"fid", "disc-loss", "gen-loss"}) EXPECT_FALSE(larger_is_better("metric", name));
  EXPECT_THROW(larger_is_better("metric", "accuracy"), UsageError);
}

}  // namespace
}  // namespace whence
