#pragma once
// The GAN's game once more, as plainly as PyTorch users write it: one replica, one query, double backward.

#include <cmath>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "whence/game/game.h"
#include "whence/net/activation.h"

namespace whence::test {

struct ReferenceGan {
  std::vector<std::int64_t> generator_hidden, discriminator_hidden;
  Activation hidden, output;
  bool biases;
  double l2;
  std::int64_t latent, width;
};

// ReLU whose backward is 1[x > 0] and whose backward's derivative is N(x; 0, h).
struct DensityStep : torch::autograd::Function<DensityStep> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::Tensor x, double h) {
    context->save_for_backward({x});
    context->saved_data["h"] = h;
    return (x > 0).to(at::kDouble);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list upstream) {
    const at::Tensor z = context->get_saved_variables()[0] / context->saved_data["h"].toDouble();
    const double peak = 1 / (context->saved_data["h"].toDouble() * std::sqrt(2 * M_PI));
    return {upstream[0] * peak * at::exp(-z * z / 2), at::Tensor()};
  }
};

// max(x, 0), whose backward multiplies by the step above.
struct DensityRelu : torch::autograd::Function<DensityRelu> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::Tensor x, double h) {
    context->save_for_backward({x});
    context->saved_data["h"] = h;
    return x.clamp_min(0);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list upstream) {
    return {DensityStep::apply(context->get_saved_variables()[0], context->saved_data["h"].toDouble()) *
                upstream[0],
            at::Tensor()};
  }
};

inline at::Tensor reference_activation(Activation activation, const at::Tensor& x, double kink) {
  if (activation == Activation::tanh) return at::tanh(x);
  if (activation == Activation::sigmoid) return at::sigmoid(x);
  if (activation == Activation::relu) return kink > 0 ? DensityRelu::apply(x, kink) : at::relu(x);
  return x;
}

inline TracedStep reference_trace(const ReferenceGan& gan, const at::Tensor& theta, const Batch& batch,
                                  const at::Tensor& u, double kink) {
  // Parameters as separate tensors, in the layout's order: weight [out, in], then bias.
  std::vector<at::Tensor> leaves;
  std::int64_t next = 0;
  const auto take = [&](std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    leaves.push_back(theta.narrow(0, next, count).reshape(shape).clone().requires_grad_());
    next += count;
  };
  const auto network = [&](std::int64_t in, std::vector<std::int64_t> widths, std::int64_t out) {
    const std::size_t first = leaves.size();
    widths.push_back(out);
    for (const std::int64_t width : widths) {
      take({width, in});
      if (gan.biases) take({width});
      in = width;
    }
    return std::pair{first, leaves.size()};
  };
  const auto generator = network(gan.latent, gan.generator_hidden, gan.width);
  const auto discriminator = network(gan.width, gan.discriminator_hidden, 1);
  const auto forward = [&](std::pair<std::size_t, std::size_t> part, at::Tensor h, Activation last) {
    for (std::size_t i = part.first; i < part.second; i += gan.biases ? 2 : 1) {
      h = at::matmul(h, leaves[i].t());
      if (gan.biases) h = h + leaves[i + 1];
      const bool is_last = i + (gan.biases ? 2 : 1) == part.second;
      h = reference_activation(is_last ? last : gan.hidden, h, kink);
    }
    return h;
  };

  const auto loss_of = [](const at::Tensor& logit) { return at::log1p(at::exp(logit)); };
  const at::Tensor weights = at::ones({batch.instances.size(0)}, at::kDouble).requires_grad_();
  const at::Tensor fake =
      forward(discriminator, forward(generator, batch.latents, gan.output), Activation::linear).squeeze(1);
  const at::Tensor real = forward(discriminator, batch.instances, Activation::linear).squeeze(1);
  at::Tensor generator_loss = loss_of(-fake).sum() / batch.divisor;
  at::Tensor discriminator_loss = ((weights * loss_of(-real)).sum() + loss_of(fake).sum()) / batch.divisor;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (leaves[i].dim() == 2)
      (i < generator.second ? generator_loss : discriminator_loss) += leaves[i].pow(2).sum() * gan.l2 / 2;

  const std::vector<at::Tensor> of_generator(leaves.begin(), leaves.begin() + generator.second);
  const std::vector<at::Tensor> of_discriminator(leaves.begin() + generator.second, leaves.end());
  auto gradient = torch::autograd::grad({generator_loss}, of_generator, {}, true, true);
  for (at::Tensor& part : torch::autograd::grad({discriminator_loss}, of_discriminator, {}, true, true))
    gradient.push_back(part);
  for (at::Tensor& part : gradient) part = part.flatten();

  std::vector<at::Tensor> inputs = leaves;
  inputs.push_back(weights);
  auto derivatives =
      torch::autograd::grad({(at::cat(gradient) * u).sum()}, inputs, {}, false, false, /*allow_unused=*/true);
  TracedStep traced;
  traced.u_instance = derivatives.back();
  derivatives.pop_back();
  for (std::size_t i = 0; i < leaves.size(); ++i)
    derivatives[i] =
        derivatives[i].defined() ? derivatives[i].flatten() : at::zeros_like(leaves[i]).flatten();
  traced.u_jacobian = at::cat(derivatives);
  return traced;
}

}  // namespace whence::test
