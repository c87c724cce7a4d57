#include "whence/net/activation.h"

#include <cmath>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/tanh.h>
#include <torch/csrc/autograd/custom_function.h>

#include "whence/core/error.h"
#include "whence/net/kink.h"

namespace whence {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

// 1[x > 0], whose derivative is the density N(x; 0, h).
struct KinkedStep : Function<KinkedStep> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double width) {
    context->save_for_backward({x});
    context->saved_data["width"] = width;
    return at::gt(x, 0).to(x.scalar_type());
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    constexpr double root_two_pi = 2.506628274631000502415765284811;
    const double width = context->saved_data["width"].toDouble();
    const at::Tensor x = context->get_saved_variables()[0];
    const at::Tensor density = at::exp(x * x * (-0.5 / (width * width))) * (1.0 / (width * root_two_pi));
    return {upstream[0] * density, at::Tensor()};
  }
};

struct KinkedRelu : Function<KinkedRelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double width) {
    context->save_for_backward({x});
    context->saved_data["width"] = width;
    return at::relu(x);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const at::Tensor x = context->get_saved_variables()[0];
    return {upstream[0] * KinkedStep::apply(x, context->saved_data["width"].toDouble()), at::Tensor()};
  }
};

}  // namespace

Activation parse_activation(const std::string& option, const std::string& name) {
  if (name == "linear") return Activation::linear;
  if (name == "relu") return Activation::relu;
  if (name == "leaky-relu") return Activation::leaky_relu;
  if (name == "tanh") return Activation::tanh;
  if (name == "sigmoid") return Activation::sigmoid;
  refuse("--{}: '{}' is not an activation (linear, relu, leaky-relu, tanh, sigmoid)", option, name);
}

std::optional<KinkSlopes> kink_slopes(Activation activation, double leak) {
  if (activation == Activation::relu) return KinkSlopes{0.0, 1.0};
  if (activation == Activation::leaky_relu) return KinkSlopes{leak, 1.0};
  return std::nullopt;
}

at::Tensor activate(Activation activation, const at::Tensor& x, double kink_width, double leak) {
  switch (activation) {
    case Activation::relu:
      return relu(x, kink_width);
    case Activation::leaky_relu: {
      const at::Tensor y = at::leaky_relu(x, leak);
      return kink_width > 0 ? y + kink_curvature(x, {0.0}, {1.0 - leak}, kink_width) : y;
    }
    case Activation::tanh:
      return by_replica(x, [](const at::Tensor& values) { return at::tanh(values); });
    case Activation::sigmoid:
      return by_replica(x, [](const at::Tensor& values) { return at::sigmoid(values); });
    case Activation::linear:
      break;
  }
  return x;
}

at::Tensor relu(const at::Tensor& x, double kink_width) {
  return kink_width > 0 ? KinkedRelu::apply(x, kink_width) : at::relu(x);
}

at::Tensor precise_softplus(const at::Tensor& x) {
  // Beyond 40 the term log1p(e^-x) is below float64's rounding; LibTorch's default of 20 is not.
  return by_replica(x, [](const at::Tensor& values) { return at::softplus(values, 1, 40); });
}

at::Tensor by_replica(const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& function) {
  constexpr std::int64_t whole_vectors = 64;
  const at::Tensor rows = x.reshape({x.size(0), -1});
  const std::int64_t size = rows.size(1), padding = (whole_vectors - size % whole_vectors) % whole_vectors;
  if (padding == 0) return function(rows).reshape(x.sizes());
  return function(at::constant_pad_nd(rows, {0, padding})).narrow(1, 0, size).reshape(x.sizes());
}

}  // namespace whence
