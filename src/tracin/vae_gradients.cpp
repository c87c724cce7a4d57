#include "whence/tracin/vae_gradients.h"

#include <algorithm>
#include <map>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/leaky_relu_backward.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sigmoid_backward.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>

#include "whence/net/activation.h"
#include "whence/net/convolution.h"
#include "whence/net/patches.h"

namespace whence {
namespace {

// by_output *= act'(a), from y = act(a).
at::Tensor times_slope(const Layer& layer, const at::Tensor& by_output, const at::Tensor& y) {
  switch (layer.activation) {
    case Activation::relu:
      return at::threshold_backward(by_output, y, 0);
    case Activation::leaky_relu:
      return at::leaky_relu_backward(by_output, y, layer.leak, /*self_is_result=*/true);
    case Activation::tanh:
      return at::tanh_backward(by_output, y);
    case Activation::sigmoid:
      return at::sigmoid_backward(by_output, y);
    case Activation::linear:
      break;
  }
  return by_output;
}

// A network's forward pass: the input of each layer, rows or planes, and the output [n, values].
struct Pass {
  std::vector<at::Tensor> inputs;
  at::Tensor output;
};

Pass run_forward(const Network& network, const std::vector<at::Tensor>& tensors, at::Tensor x) {
  Pass pass;
  for (const Stage& stage : network.stages()) {
    pass.inputs.push_back(x);
    x = affine(stage, tensors[stage.first], tensors[stage.first + 1], x);
    x = stage.layer.activation == Activation::relu
            ? x.relu_()
            : activate(stage.layer.activation, x.unsqueeze(0), 0, stage.layer.leak).squeeze(0);
  }
  pass.output = x.flatten(1);
  return pass;
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
                        const TakeLayer& take) {
  for (std::size_t l = network.stages().size(); l-- > 0;) {
    const Stage& stage = network.stages()[l];
    if (stage.layer.kind != LayerKind::linear)
      by_output = planes_of(by_output, stage.out).contiguous(tensors[stage.first].suggest_memory_format());
    if (want.layer[l]) take(want.number_of(l), gradients_of(stage, pass.inputs[l], by_output, n));
    if (!by_input && l <= want.first) break;
    by_output = affine_pull_back(stage, tensors[stage.first], by_output).reshape(pass.inputs[l].sizes());
    if (l > 0) by_output = times_slope(network.stages()[l - 1].layer, by_output, pass.inputs[l]);
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
    all.push_back(extent_of(network.stages()[l], samples));
  }
}

std::int64_t decoded_numbers(const Autoencoder& vae, const GradientOptions& options) {
  std::int64_t columns = 0;
  for (const Stage& stage : vae.decoder().stages())
    if (stage.layer.kind == LayerKind::transposed)
      columns = std::max(columns, column_numbers(patch_grid(stage), stage.in.channels, at::kFloat));
  return options.samples * (width(vae.decoder()) + 4 * vae.decoder().output().values() + columns);
}

// Instances whose decoder's passes are taken together; 0: all. Images of many samples are large, and passes
// over them are fast where they stay in a processor's cache.
std::int64_t at_once(const Autoencoder& vae, const GradientOptions& options, at::Device device) {
  constexpr std::int64_t numbers = std::int64_t{1} << 20;
  if (vae.decoder().is_dense() || !device.is_cpu()) return 0;
  return std::max<std::int64_t>(1, numbers / decoded_numbers(vae, options));
}

// Numbers of a network's layers' gradients of an instance: the largest's, and all that are kept for the
// others of a group.
struct LayerNumbers {
  std::int64_t largest = 0, all = 0;

  void add(const Network& network, std::int64_t samples, const GradientOptions& options, at::Device device) {
    const Wanted want = wanted(network, options, 0);
    for (std::size_t l = 0; l < network.stages().size(); ++l) {
      if (!want.layer[l]) continue;
      const Stage& stage = network.stages()[l];
      const LayerExtent layer = extent_of(stage, samples);
      const std::int64_t numbers = added_up_at_once(stage, samples, device)
                                       ? layer.left * layer.right
                                       : layer.rows * (layer.left + layer.right);
      largest = std::max(largest, numbers);
      all += layer.bias + numbers;
    }
  }
};

struct Latents {
  at::Tensor mu, deviation;  // [n, d]
  at::Tensor noise;          // [n, m, d]

  Latents narrow(std::int64_t first, std::int64_t count) const {
    return {mu.narrow(0, first, count), deviation.narrow(0, first, count), noise.narrow(0, first, count)};
  }
};

struct Decoded {
  at::Tensor loss;                    // [n, m], of the reconstruction
  at::Tensor by_mu, by_log_variance;  // [n, d], its derivatives
};

Decoded decode(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x,
               const Latents& latents, const GradientOptions& options, const Wanted& want,
               const TakeLayer& take) {
  const std::int64_t n = x.size(0), m = options.samples, d = latents.mu.size(1);
  const at::Tensor& noise = latents.noise;
  const at::Tensor xi = latents.mu.unsqueeze(1) + latents.deviation.unsqueeze(1) * noise;  // [n, m, d]
  const Pass decoded = run_forward(vae.decoder(), tensors, xi.view({n * m, d}));
  const Reconstruction reconstruction = reconstruct(vae, decoded.output, x, options);
  const bool through = options.latent == LatentGradient::reparameterised;
  const at::Tensor by_xi =
      run_backward(vae.decoder(), tensors, decoded, reconstruction.by_logit, n, want, through, take);
  if (through) {
    const at::Tensor pulled = by_xi.view({n, m, d});
    return {reconstruction.loss, pulled.sum(1), (pulled * noise).sum(1) * latents.deviation * 0.5};
  }
  // grad log Q: eps / sigma by mu, (eps^2 - 1) / 2 by the log-variance.
  const at::Tensor weight = (reconstruction.loss / static_cast<double>(m)).unsqueeze(2);
  return {reconstruction.loss, (weight * noise).sum(1) / latents.deviation,
          (weight * (noise.square() - 1)).sum(1) * 0.5};
}

// Layers' gradients of a few instances after the other, put together.
class Gathered {
 public:
  explicit Gathered(std::int64_t n) : n_(n) {}

  void put(std::size_t l, std::int64_t first, const LayerGradients& part) {
    LayerGradients& whole = all_[l];
    keep_rows(whole.left, n_, first, part.left);
    keep_rows(whole.right, n_, first, part.right);
    keep_rows(whole.bias, n_, first, part.bias);
    keep_rows(whole.sums, n_, first, part.sums);
  }
  const std::map<std::size_t, LayerGradients>& all() const { return all_; }

 private:
  std::int64_t n_;
  std::map<std::size_t, LayerGradients> all_;
};

Decoded decode_in_groups(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                         const Latents& latents, const GradientOptions& options, std::size_t first_layer,
                         const TakeLayer& take, const std::function<void()>& between_groups) {
  const Wanted want = wanted(vae.decoder(), options, first_layer);
  const std::int64_t n = x.size(0), group = at_once(vae, options, x.device());
  if (group == 0 || group >= n) return decode(vae, tensors, x, latents, options, want, take);
  Gathered gathered(n);
  Decoded whole;
  for (std::int64_t first = 0; first < n; first += group) {
    const std::int64_t count = std::min(group, n - first);
    const Decoded part =
        decode(vae, tensors, x.narrow(0, first, count), latents.narrow(first, count), options, want,
               [&](std::size_t l, const LayerGradients& layer) { gathered.put(l, first, layer); });
    keep_rows(whole.loss, n, first, part.loss);
    keep_rows(whole.by_mu, n, first, part.by_mu);
    keep_rows(whole.by_log_variance, n, first, part.by_log_variance);
    between_groups();
  }
  for (const auto& [l, layer] : gathered.all()) take(l, layer);
  return whole;
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

WorkingNumbers working_numbers(const Autoencoder& vae, const GradientOptions& options, at::Device device) {
  LayerNumbers of_encoder, of_decoder;
  of_encoder.add(vae.encoder(), 1, options, device);
  of_decoder.add(vae.decoder(), options.samples, options, device);
  const std::int64_t decoded = decoded_numbers(vae, options), encoded = width(vae.encoder()),
                     group = at_once(vae, options, device);
  if (group == 0) return {encoded + decoded + 2 * std::max(of_encoder.largest, of_decoder.largest), 0, 0};
  return {encoded + 2 * of_encoder.largest + of_decoder.all, group, decoded + 2 * of_decoder.largest};
}

at::Tensor take_gradients(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                          const at::Tensor& noise, const GradientOptions& options, const TakeLayer& take,
                          const std::function<void()>& between_groups) {
  const std::int64_t n = x.size(0), d = vae.decoder().input().values();
  const double beta = vae.beta() / (options.loss == TracinLoss::scoring ? scoring_divisor : 1.0);
  const Wanted of_encoder = wanted(vae.encoder(), options, 0);

  const Pass encoded = run_forward(vae.encoder(), tensors, x);
  const at::Tensor mu = encoded.output.narrow(1, 0, d), log_variance = encoded.output.narrow(1, d, d);
  const Latents latents{mu, at::exp(log_variance * 0.5), noise};
  const Decoded decoded =
      decode_in_groups(vae, tensors, x, latents, options, of_encoder.end(), take, between_groups);

  const at::Tensor by_mu = decoded.by_mu + mu * beta;
  const at::Tensor by_log_variance =
      decoded.by_log_variance + (latents.deviation.square() - 1) * (0.5 * beta);
  run_backward(vae.encoder(), tensors, encoded, at::cat({by_mu, by_log_variance}, 1), n, of_encoder, false,
               take);

  const at::Tensor kl = kl_to_normal(mu, log_variance) * beta;
  return decoded.loss.to(at::kDouble).mean(1) + kl.to(at::kDouble);
}

at::Tensor latent_means(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x) {
  return run_forward(vae.encoder(), tensors, x)
      .output.narrow(1, 0, vae.decoder().input().values())
      .contiguous();
}

}  // namespace whence
