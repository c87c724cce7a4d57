#include "whence/net/kink.h"

#include <cmath>
#include <gtest/gtest.h>

#include <ATen/ops/clamp.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/relu.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/net/activation.h"

namespace whence {
namespace {

using torch::autograd::grad;

// First and second derivative of y by x, elementwise.
std::pair<at::Tensor, at::Tensor> derivatives(const at::Tensor& y, const at::Tensor& x) {
  const at::Tensor first = grad({y.sum()}, {x}, {}, true, true)[0];
  return {first.detach(), grad({(first * x.detach().cos()).sum()}, {x})[0]};
}

TEST(KinkCurvature, OfReluIsThatOfTheActivation) {
  const at::Tensor x = at::linspace(-0.4, 0.5, 40, at::kDouble).requires_grad_();
  const at::Tensor own = at::relu(x) + kink_curvature(x, {0.0}, {1.0}, 0.1), known = relu(x, 0.1);
  EXPECT_TRUE(own.equal(known));
  const auto [first, second] = derivatives(own, x);
  const auto [known_first, known_second] = derivatives(known, x);
  EXPECT_TRUE(first.equal(known_first));
  EXPECT_LT((second - known_second).abs().max().item<double>(), 1e-13);
  EXPECT_GT(known_second.abs().max().item<double>(), 1);
}

TEST(KinkCurvature, OfClampIsTwoDensities) {
  const double width = 0.2, scale = 1 / (width * std::sqrt(2 * std::acos(-1.0)));
  const at::Tensor x = at::linspace(-2, 2, 33, at::kDouble).requires_grad_();
  const at::Tensor y = at::clamp(x, -0.5, 1.0) + kink_curvature(x, {-0.5, 1.0}, {1.0, -1.0}, width);
  EXPECT_TRUE(y.equal(at::clamp(x, -0.5, 1.0)));
  const auto [first, second] = derivatives(y, x);
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    const double at = x[i].item<double>();
    const auto density = [&](double place) {
      return scale * std::exp(-0.5 * (at - place) * (at - place) / (width * width));
    };
    EXPECT_NEAR(second[i].item<double>(), (density(-0.5) - density(1.0)) * std::cos(at), 1e-13);
  }
}

TEST(KinkCurvature, OfLeakyReluIsWhatItLacksOfRelus) {
  const at::Tensor x = at::linspace(-0.4, 0.5, 40, at::kDouble).requires_grad_();
  const at::Tensor leaky = activate(Activation::leaky_relu, x, 0.1, 0.3);
  const auto [first, second] = derivatives(leaky, x);
  const auto [of_relu, curvature] = derivatives(relu(x, 0.1), x);
  EXPECT_LT((leaky - (relu(x, 0) * 0.7 + x * 0.3)).abs().max().item<double>(), 1e-15);
  EXPECT_LT((first - (of_relu * 0.7 + 0.3)).abs().max().item<double>(), 1e-15);
  EXPECT_LT((second - curvature * 0.7).abs().max().item<double>(), 1e-13);
}

}  // namespace
}  // namespace whence
