#include "whence/game/vae.h"

#include <cmath>

#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/net/activation.h"

namespace whence {
namespace {

std::vector<Layer> perceptron(const std::vector<std::int64_t>& widths) {
  std::vector<Layer> layers;
  for (std::size_t l = 0; l + 1 < widths.size(); ++l)
    layers.push_back(linear_layer(widths[l], widths[l + 1], l + 2 < widths.size()));
  return layers;
}

void begin_normal(const RandomStream& stream, double deviation, double* out, std::int64_t count) {
  stream.normal(0, out, static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < count; ++k) out[k] *= deviation;
}

void begin_uniform(const RandomStream& stream, double limit, double* out, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) out[k] = limit * (2.0 * stream.uniform(k) - 1.0);
}

}  // namespace

VaeOptions mlp_vae(std::int64_t in, const std::vector<std::int64_t>& hidden, std::int64_t latent_size) {
  std::vector<std::int64_t> down{in}, up{latent_size};
  down.insert(down.end(), hidden.begin(), hidden.end());
  down.push_back(2 * latent_size);
  up.insert(up.end(), hidden.rbegin(), hidden.rend());
  up.push_back(in);
  return {"mlp-vae", perceptron(down), perceptron(up), latent_size, 1, Likelihood::bernoulli, at::kFloat};
}

VaeOptions conv_vae(std::int64_t latent_size) {
  const auto down = [](std::int64_t in, std::int64_t out, std::int64_t side) {
    return convolution_layer(in, out, true, side, 4, 2, 1);
  };
  const auto up = [](std::int64_t in, std::int64_t out, std::int64_t side, bool relu = true) {
    return transposed_layer(in, out, relu, side, 4, 2, 1);
  };
  return {"conv-vae",
          {down(3, 32, 64), down(32, 32, 32), down(32, 64, 16), down(64, 64, 8),
           convolution_layer(64, 256, true, 4, 4, 1, 0), linear_layer(256, 2 * latent_size, false)},
          {linear_layer(latent_size, 256, true), transposed_layer(256, 64, true, 1, 4, 1, 0), up(64, 64, 4),
           up(64, 32, 8), up(32, 32, 16), up(32, 3, 32, false)},
          latent_size,
          1,
          Likelihood::squared,
          at::kFloat};
}

at::Tensor kl_to_normal(const at::Tensor& mu, const at::Tensor& log_variance) {
  const at::Tensor variance = by_replica(log_variance, [](const at::Tensor& v) { return at::exp(v); });
  return (mu.square() + variance - log_variance - 1).sum(-1) * 0.5;
}

at::Tensor reconstruction_loss(Likelihood likelihood, const at::Tensor& logits, const at::Tensor& x) {
  if (likelihood == Likelihood::bernoulli) return (precise_softplus(logits) - logits * x).sum(-1);
  return (by_replica(logits, [](const at::Tensor& l) { return at::sigmoid(l); }) - x).square().sum(-1);
}

Vae::Vae(VaeOptions options)
    : options_(std::move(options)),
      layout_({"vae"}),
      encoder_(layout_, 0, "encoder", options_.encoder),
      decoder_(layout_, 0, "decoder", options_.decoder) {}

at::Tensor Vae::initial_parameters(std::uint64_t seed) const {
  at::Tensor theta = at::zeros({layout_.size()}, at::kDouble);
  for (const LayerStack* stack : {&encoder_, &decoder_})
    for (std::size_t l = 0; l < stack->layers().size(); ++l)
      for (const std::size_t place : {stack->weight_place(l), stack->weight_place(l) + 1}) {
        const ParameterSpec& spec = layout_.specs()[place];
        const RandomStream stream(seed, Purpose::initial_parameters, static_cast<std::uint32_t>(place));
        double* values = theta.data_ptr<double>() + spec.offset;
        const auto fan_in = static_cast<double>(spec.fan_in);
        if (stack->layers()[l].kind == LayerKind::transposed)
          begin_uniform(stream, 1.0 / std::sqrt(fan_in), values, spec.size());
        else if (spec.is_kernel)
          begin_normal(stream, std::sqrt(2.0 / fan_in), values, spec.size());
      }
  return theta.to(options_.dtype);
}

std::vector<at::Tensor> Vae::losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                    const at::Tensor& weights, double kink_width) const {
  if (batch.latents.size(0) != batch.instances.size(0))
    fail("{}: {} rows of noise for {} instances", name(), batch.latents.size(0), batch.instances.size(0));
  const std::int64_t d = options_.latent_size;
  const at::Tensor code = encoder_.forward(tensors, batch.instances, kink_width);
  const at::Tensor mu = code.narrow(2, 0, d), log_variance = code.narrow(2, d, d);
  const at::Tensor deviation = by_replica(log_variance * 0.5, [](const at::Tensor& v) { return at::exp(v); });
  const at::Tensor logits = decoder_.forward(tensors, mu + deviation * batch.latents, kink_width);
  const at::Tensor loss = reconstruction_loss(options_.likelihood, logits, batch.instances) +
                          kl_to_normal(mu, log_variance) * options_.beta;
  return {(weights * loss).sum(1) / static_cast<double>(batch.divisor)};
}

}  // namespace whence
