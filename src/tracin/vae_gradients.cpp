#include "whence/tracin/vae_gradients.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/threshold_backward.h>

#include "whence/net/patches.h"

namespace whence {
namespace {

bool has_relu(const Stage& stage) { return stage.layer.activation == Activation::relu; }

// A network's forward pass: the input of each layer, and the output.
struct Pass {
  std::vector<at::Tensor> inputs;
  at::Tensor output;
};

Pass run_forward(const Network& network, const std::vector<at::Tensor>& tensors, at::Tensor x) {
  Pass pass;
  for (const Stage& stage : network.stages()) {
    pass.inputs.push_back(x);
    x = affine(stage, tensors[stage.first], tensors[stage.first + 1], x);
    if (has_relu(stage)) x.relu_();
  }
  pass.output = x;
  return pass;
}

// Patches of images [N, values] under a layer's kernel: [N, channels k^2, positions].
at::Tensor patches(const Stage& stage, const at::Tensor& flat) {
  const PatchGrid grid = patch_grid(stage);
  const ImageSize& size = grid.image;
  return patch_columns(grid, flat.reshape({flat.size(0), size.channels, size.height, size.width}),
                       flat.size(0));
}

// [n m, width, positions] to [n, m * positions, width].
at::Tensor by_instance(const at::Tensor& values, std::int64_t n) {
  return values.transpose(1, 2).reshape({n, -1, values.size(1)});
}

LayerGradients gradients_of(const Stage& stage, const at::Tensor& input, const at::Tensor& by_output,
                            std::int64_t n) {
  const Layer& layer = stage.layer;
  const at::Tensor out = by_output.view({by_output.size(0), stage.out.channels, -1});
  const at::Tensor bias = out.sum(2).view({n, -1, stage.out.channels}).sum(1);
  if (layer.kind == LayerKind::convolution)
    return {by_instance(out, n), by_instance(patches(stage, input), n), bias};
  if (layer.kind == LayerKind::transposed)
    return {by_instance(input.view({input.size(0), stage.in.channels, -1}), n),
            by_instance(patches(stage, by_output), n), bias};
  return {by_output.view({n, -1, stage.out.values()}), input.reshape({n, -1, stage.in.values()}), bias};
}

// Which layers of a network are wanted.
struct Wanted {
  std::vector<bool> layer;
  std::size_t first;   // the first of them; the number of layers where there is none
  std::size_t number;  // theirs in `take` start here

  // Layer l's number in `take`.
  std::size_t number_of(std::size_t l) const {
    return number + static_cast<std::size_t>(std::count(layer.begin(), layer.begin() + l, true));
  }
  std::size_t end() const { return number_of(layer.size()); }
};

Wanted wanted(const Network& network, const GradientOptions& options, std::size_t number) {
  const std::size_t layers = network.stages().size(), last = static_cast<std::size_t>(options.last_layers);
  Wanted want{std::vector<bool>(layers, true), 0, number};
  for (std::size_t l = 0; l < layers; ++l)
    want.layer[l] = (last == 0 || l + last >= layers) &&
                    (options.tensors.empty() || options.tensors[network.stages()[l].first]);
  want.first = std::find(want.layer.begin(), want.layer.end(), true) - want.layer.begin();
  return want;
}

// Carries the derivative by the network's output back to its input, handing over each wanted layer's
// gradients.
at::Tensor run_backward(const Network& network, const std::vector<at::Tensor>& tensors, const Pass& pass,
                        at::Tensor by_output, std::int64_t n, const Wanted& want, bool by_input,
                        const std::function<void(std::size_t, const LayerGradients&)>& take) {
  for (std::size_t l = network.stages().size(); l-- > 0;) {
    if (want.layer[l])
      take(want.number_of(l), gradients_of(network.stages()[l], pass.inputs[l], by_output, n));
    if (!by_input && l <= want.first) break;
    by_output = affine_pull_back(network.stages()[l], tensors[network.stages()[l].first], by_output);
    if (l > 0 && has_relu(network.stages()[l - 1]))
      by_output = at::threshold_backward(by_output, pass.inputs[l], 0);
  }
  return by_output;
}

struct Reconstruction {
  at::Tensor loss;      // [n, m]
  at::Tensor by_logit;  // [n m, D], of the mean over samples
};

Reconstruction reconstruct(const Autoencoder& vae, const at::Tensor& logits, const at::Tensor& x,
                           const GradientOptions& options) {
  const at::Tensor l = logits.view({x.size(0), options.samples, -1}), target = x.unsqueeze(1);
  const double share = 1.0 / static_cast<double>(options.samples);
  const at::Tensor mean = at::sigmoid(l);
  Reconstruction result;
  if (options.loss == TracinLoss::training && vae.likelihood() == Likelihood::bernoulli) {
    result.loss = (at::softplus(l, 1, 40) - l * target).sum(2);
    result.by_logit = ((mean - target) * share).view_as(logits);
  } else {
    const double scale =
        options.loss == TracinLoss::scoring ? 1.0 / (scoring_divisor * scoring_channels(vae)) : 1.0;
    const at::Tensor error = mean - target;
    result.loss = error.square().sum(2) * scale;
    result.by_logit = (error * mean * (1 - mean) * (2 * share * scale)).view_as(logits);
  }
  return result;
}

std::int64_t width(const Network& network) {
  std::int64_t numbers = network.output().values();
  for (const Stage& stage : network.stages()) numbers += stage.in.values();
  return numbers;
}

void add_extents(const Network& network, std::int64_t samples, const GradientOptions& options,
                 std::vector<LayerExtent>& all) {
  const Wanted want = wanted(network, options, 0);
  for (std::size_t l = 0; l < network.stages().size(); ++l) {
    if (!want.layer[l]) continue;
    const Stage& stage = network.stages()[l];
    const ImageSize &in = stage.in, &out = stage.out;
    const std::int64_t taps = stage.layer.kernel * stage.layer.kernel;
    if (stage.layer.kind == LayerKind::transposed)
      all.push_back({samples * in.height * in.width, in.channels, out.channels * taps, out.channels});
    else if (stage.layer.kind == LayerKind::convolution)
      all.push_back({samples * out.height * out.width, out.channels, in.channels * taps, out.channels});
    else
      all.push_back({samples, out.values(), in.values(), out.values()});
  }
}

}  // namespace

double scoring_channels(const Autoencoder& vae) {
  const ImageSize& image = vae.encoder().input();
  return image.height * image.width > 1 ? static_cast<double>(image.channels) : 1.0;
}

std::vector<LayerExtent> gradient_extents(const Autoencoder& vae, const GradientOptions& options) {
  std::vector<LayerExtent> all;
  add_extents(vae.encoder(), 1, options, all);
  add_extents(vae.decoder(), options.samples, options, all);
  return all;
}

std::int64_t working_numbers(const Autoencoder& vae, const GradientOptions& options) {
  std::int64_t largest = 0;
  for (const LayerExtent& layer : gradient_extents(vae, options))
    largest = std::max(largest, layer.rows * (layer.left + layer.right));
  const std::int64_t outputs = vae.decoder().output().values();
  return width(vae.encoder()) + options.samples * (width(vae.decoder()) + 4 * outputs) + 2 * largest;
}

at::Tensor take_gradients(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                          const at::Tensor& noise, const GradientOptions& options,
                          const std::function<void(std::size_t, const LayerGradients&)>& take) {
  const std::int64_t n = x.size(0), m = options.samples, d = vae.decoder().input().values();
  const double beta = vae.beta() / (options.loss == TracinLoss::scoring ? scoring_divisor : 1.0);
  const Wanted of_encoder = wanted(vae.encoder(), options, 0);
  const Wanted of_decoder = wanted(vae.decoder(), options, of_encoder.end());

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

at::Tensor latent_means(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x) {
  return run_forward(vae.encoder(), tensors, x)
      .output.narrow(1, 0, vae.decoder().input().values())
      .contiguous();
}

}  // namespace whence
