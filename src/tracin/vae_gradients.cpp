#include "whence/tracin/vae_gradients.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/im2col.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/threshold_backward.h>

namespace whence {
namespace {

// A stack's forward pass: the input of each layer, and the output.
struct Pass {
  std::vector<at::Tensor> inputs;
  at::Tensor output;
};

Pass run_forward(const LayerStack& stack, const std::vector<at::Tensor>& tensors, at::Tensor x) {
  Pass pass;
  for (std::size_t l = 0; l < stack.layers().size(); ++l) {
    pass.inputs.push_back(x);
    x = apply(stack.layers()[l], tensors[stack.weight_place(l)], tensors[stack.weight_place(l) + 1], x);
    if (stack.layers()[l].relu) x.relu_();
  }
  pass.output = x;
  return pass;
}

// Patches of images [N, channels * side^2] under a layer's kernel: [N, channels k^2, positions].
at::Tensor patches(const Layer& layer, const at::Tensor& flat, std::int64_t channels, std::int64_t side) {
  return at::im2col(flat.reshape({flat.size(0), channels, side, side}), {layer.kernel, layer.kernel}, {1, 1},
                    {layer.padding, layer.padding}, {layer.stride, layer.stride});
}

// [n m, width, positions] to [n, m * positions, width].
at::Tensor by_instance(const at::Tensor& values, std::int64_t n) {
  return values.transpose(1, 2).reshape({n, -1, values.size(1)});
}

LayerGradients gradients_of(const Layer& layer, const at::Tensor& input, const at::Tensor& by_output,
                            std::int64_t n) {
  const at::Tensor out = by_output.view({by_output.size(0), layer.out, -1});
  const at::Tensor bias = out.sum(2).view({n, -1, layer.out}).sum(1);
  switch (layer.kind) {
    case LayerKind::convolution:
      return {by_instance(out, n), by_instance(patches(layer, input, layer.in, layer.side_in), n), bias};
    case LayerKind::transposed:
      return {by_instance(input.view({input.size(0), layer.in, -1}), n),
              by_instance(patches(layer, by_output, layer.out, layer.side_out), n), bias};
    case LayerKind::linear:
      break;
  }
  return {by_output.view({n, -1, layer.out}), input.reshape({n, -1, layer.in}), bias};
}

// Layers first .. end of a stack are wanted; their numbers in `take` start at `number`.
struct Wanted {
  std::size_t first, number;
};

Wanted wanted(const LayerStack& stack, std::int64_t last_layers, std::size_t number) {
  const std::size_t layers = stack.layers().size();
  const auto last = static_cast<std::size_t>(last_layers);
  return {last == 0 || last >= layers ? 0 : layers - last, number};
}

// Carries the derivative by the stack's output back to its input, handing over each wanted layer's gradients.
at::Tensor run_backward(const LayerStack& stack, const std::vector<at::Tensor>& tensors, const Pass& pass,
                        at::Tensor by_output, std::int64_t n, const Wanted& want, bool by_input,
                        const std::function<void(std::size_t, const LayerGradients&)>& take) {
  for (std::size_t l = stack.layers().size(); l-- > 0;) {
    if (l >= want.first)
      take(want.number + l - want.first, gradients_of(stack.layers()[l], pass.inputs[l], by_output, n));
    if (!by_input && l <= want.first) break;
    by_output = pull_back(stack.layers()[l], tensors[stack.weight_place(l)], by_output);
    if (l > 0 && stack.layers()[l - 1].relu) by_output = at::threshold_backward(by_output, pass.inputs[l], 0);
  }
  return by_output;
}

struct Reconstruction {
  at::Tensor loss;      // [n, m]
  at::Tensor by_logit;  // [n m, D], of the mean over samples
};

Reconstruction reconstruct(const Vae& vae, const at::Tensor& logits, const at::Tensor& x,
                           const GradientOptions& options) {
  const at::Tensor l = logits.view({x.size(0), options.samples, -1}), target = x.unsqueeze(1);
  const double share = 1.0 / static_cast<double>(options.samples);
  const at::Tensor mean = at::sigmoid(l);
  Reconstruction result;
  if (options.loss == TracinLoss::training && vae.options().likelihood == Likelihood::bernoulli) {
    result.loss = (at::softplus(l, 1, 40) - l * target).sum(2);
    result.by_logit = ((mean - target) * share).view_as(logits);
  } else {
    const double scale = options.loss == TracinLoss::scoring ? 1.0 / scoring_divisor : 1.0;
    const at::Tensor error = mean - target;
    result.loss = error.square().sum(2) * scale;
    result.by_logit = (error * mean * (1 - mean) * (2 * share * scale)).view_as(logits);
  }
  return result;
}

std::int64_t width(const LayerStack& stack) {
  std::int64_t numbers = stack.layers().back().width_out();
  for (const Layer& layer : stack.layers()) numbers += layer.width_in();
  return numbers;
}

void add_extents(const LayerStack& stack, std::int64_t samples, const GradientOptions& options,
                 std::vector<LayerExtent>& all) {
  for (std::size_t l = wanted(stack, options.last_layers, 0).first; l < stack.layers().size(); ++l) {
    const Layer& layer = stack.layers()[l];
    const std::int64_t taps = layer.kernel * layer.kernel;
    if (layer.kind == LayerKind::transposed)
      all.push_back({samples * layer.side_in * layer.side_in, layer.in, layer.out * taps, layer.out});
    else
      all.push_back({samples * layer.side_out * layer.side_out, layer.out, layer.in * taps, layer.out});
  }
}

}  // namespace

std::vector<LayerExtent> gradient_extents(const Vae& vae, const GradientOptions& options) {
  std::vector<LayerExtent> all;
  add_extents(vae.encoder(), 1, options, all);
  add_extents(vae.decoder(), options.samples, options, all);
  return all;
}

std::int64_t working_numbers(const Vae& vae, const GradientOptions& options) {
  std::int64_t largest = 0;
  for (const LayerExtent& layer : gradient_extents(vae, options))
    largest = std::max(largest, layer.rows * (layer.left + layer.right));
  const std::int64_t outputs = vae.decoder().layers().back().width_out();
  return width(vae.encoder()) + options.samples * (width(vae.decoder()) + 4 * outputs) + 2 * largest;
}

at::Tensor take_gradients(const Vae& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                          const at::Tensor& noise, const GradientOptions& options,
                          const std::function<void(std::size_t, const LayerGradients&)>& take) {
  const std::int64_t n = x.size(0), m = options.samples, d = vae.latent_size();
  const double beta = vae.options().beta / (options.loss == TracinLoss::scoring ? scoring_divisor : 1.0);
  const Wanted of_encoder = wanted(vae.encoder(), options.last_layers, 0);
  const Wanted of_decoder =
      wanted(vae.decoder(), options.last_layers, vae.encoder().layers().size() - of_encoder.first);

  const Pass encoded = run_forward(vae.encoder(), tensors, x);
  const at::Tensor mu = encoded.output.narrow(1, 0, d), log_variance = encoded.output.narrow(1, d, d);
  const at::Tensor deviation = at::exp(log_variance * 0.5);
  const at::Tensor xi = mu.unsqueeze(1) + deviation.unsqueeze(1) * noise;  // [n, m, d]
  const Pass decoded = run_forward(vae.decoder(), tensors, xi.view({n * m, d}));
  const Reconstruction reconstruction = reconstruct(vae, decoded.output, x, options);

  const bool through = options.latent == LatentGradient::reparameterised;
  const at::Tensor by_xi =
      run_backward(vae.decoder(), tensors, decoded, reconstruction.by_logit, n, of_decoder, through, take);
  at::Tensor by_mu, by_log_variance;
  if (through) {
    const at::Tensor pulled = by_xi.view({n, m, d});
    by_mu = pulled.sum(1);
    by_log_variance = (pulled * noise).sum(1) * deviation * 0.5;
  } else {
    // grad log Q: eps / sigma by mu, (eps^2 - 1) / 2 by the log-variance.
    const at::Tensor weight = (reconstruction.loss / static_cast<double>(m)).unsqueeze(2);
    by_mu = (weight * noise).sum(1) / deviation;
    by_log_variance = (weight * (noise.square() - 1)).sum(1) * 0.5;
  }
  by_mu = by_mu + mu * beta;
  by_log_variance = by_log_variance + (deviation.square() - 1) * (0.5 * beta);
  run_backward(vae.encoder(), tensors, encoded, at::cat({by_mu, by_log_variance}, 1), n, of_encoder, false,
               take);

  const at::Tensor kl = kl_to_normal(mu, log_variance) * beta;
  return reconstruction.loss.to(at::kDouble).mean(1) + kl.to(at::kDouble);
}

at::Tensor latent_means(const Vae& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x) {
  return run_forward(vae.encoder(), tensors, x).output.narrow(1, 0, vae.latent_size()).contiguous();
}

}  // namespace whence
