#include "whence/game/vae.h"

#include <cmath>

#include <ATen/ops/exp.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/game/engine.h"
#include "whence/game/registry.h"
#include "whence/net/activation.h"

#include "perceptron_vae_engine.h"

namespace whence {
namespace {

Layer convolution(LayerKind kind, std::int64_t out, bool relu, std::int64_t stride, std::int64_t padding) {
  return channels_first_layer(kind, 4, stride, padding, out, relu ? Activation::relu : Activation::linear);
}

void begin_normal(const RandomStream& stream, double deviation, double* out, std::int64_t count) {
  stream.normal(0, out, static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < count; ++k) out[k] *= deviation;
}

void begin_uniform(const RandomStream& stream, double limit, double* out, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) out[k] = limit * (2.0 * stream.uniform(k) - 1.0);
}

const GameOption rate_option{"rate", "learning rate"},
    beta_option{"beta", "weight of the KL term of the loss"},
    loss_option{"loss", "reconstruction loss: bernoulli or squared"};

Likelihood chosen_likelihood(const ChosenOptions& options, const InstanceKind& instances) {
  const std::string name = options.text("loss");
  if (name == "squared") return Likelihood::squared;
  if (name != "bernoulli") refuse("--loss: '{}' is not bernoulli or squared", name);
  if (instances.least < 0 || instances.most > 1)
    refuse("--loss: bernoulli is for data in [0, 1], but these have numbers from {} to {}", instances.least,
           instances.most);
  return Likelihood::bernoulli;
}

std::shared_ptr<const Game> made(VaeOptions vae, const ChosenOptions& options,
                                 const InstanceKind& instances) {
  vae.beta = options.real("beta");
  vae.likelihood = chosen_likelihood(options, instances);
  vae.dtype = options.dtype();
  return std::make_shared<Vae>(std::move(vae));
}

}  // namespace

VaeOptions mlp_vae(std::int64_t in, const std::vector<std::int64_t>& hidden, std::int64_t latent_size,
                   Activation inside) {
  std::vector<Layer> down, up;
  for (const std::int64_t width : hidden) down.push_back(linear_layer(width, inside));
  down.push_back(linear_layer(2 * latent_size, Activation::linear));
  for (auto width = hidden.rbegin(); width != hidden.rend(); ++width)
    up.push_back(linear_layer(*width, inside));
  up.push_back(linear_layer(in, Activation::linear));
  return {"mlp-vae", {in, 1, 1}, down, up, latent_size, 1, Likelihood::bernoulli, at::kFloat};
}

VaeOptions conv_vae(std::int64_t latent_size) {
  const auto down = [](std::int64_t out) { return convolution(LayerKind::convolution, out, true, 2, 1); };
  const auto up = [](std::int64_t out, bool relu = true) {
    return convolution(LayerKind::transposed, out, relu, 2, 1);
  };
  return {"conv-vae",
          {3, 64, 64},
          {down(32), down(32), down(64), down(64), convolution(LayerKind::convolution, 256, true, 1, 0),
           linear_layer(2 * latent_size, Activation::linear)},
          {linear_layer(256, Activation::relu), convolution(LayerKind::transposed, 64, true, 1, 0), up(64),
           up(32), up(32), up(3, false)},
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
      encoder_(layout_, 0, "encoder", options_.instance, options_.encoder),
      decoder_(layout_, 0, "decoder", {options_.latent_size, 1, 1}, options_.decoder) {}

at::Tensor Vae::initial_parameters(std::uint64_t seed) const {
  at::Tensor theta = at::zeros({layout_.size()}, at::kDouble);
  for (const Network* network : {&encoder_, &decoder_})
    for (const Stage& stage : network->stages())
      for (const std::size_t place : {stage.first, stage.first + 1}) {
        const ParameterSpec& spec = layout_.specs()[place];
        const RandomStream stream(seed, Purpose::initial_parameters, static_cast<std::uint32_t>(place));
        double* values = theta.data_ptr<double>() + spec.offset;
        const auto fan_in = static_cast<double>(spec.fan_in);
        if (stage.layer.kind == LayerKind::transposed)
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
  return losses_of(batch, weights, mu, log_variance, logits);
}

std::unique_ptr<const Engine> Vae::native_engine(const std::string& variant) const {
  if (perceptrons() == nullptr) return nullptr;
  return make_perceptron_vae_engine(*this, variant);
}

std::vector<at::Tensor> Vae::losses_seen(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                         const at::Tensor& weights, DenseWatch& instances,
                                         DenseWatch&) const {
  const std::int64_t d = options_.latent_size;
  const at::Tensor code = encoder_.forward(tensors, batch.instances, instances);
  const at::Tensor mu = code.narrow(2, 0, d), log_variance = code.narrow(2, d, d);
  const at::Tensor noise = at::exp(log_variance * 0.5) * batch.latents;
  // Latent i moves by d mu_i + noise_i / 2 d v_i.
  instances.passed_on((noise.detach().square().amax(2) * 0.25 + 1).sqrt());
  return losses_of(batch, weights, mu, log_variance, decoder_.forward(tensors, mu + noise, instances));
}

std::vector<at::Tensor> Vae::losses_of(const Batch& batch, const at::Tensor& weights, const at::Tensor& mu,
                                       const at::Tensor& log_variance, const at::Tensor& logits) const {
  const at::Tensor loss = reconstruction_loss(options_.likelihood, logits, batch.instances) +
                          kl_to_normal(mu, log_variance) * options_.beta;
  return {(weights * loss).sum(1) / static_cast<double>(batch.divisor)};
}

// Presets: Kong and Chaudhuri's experiments (NeurIPS 2021).
GameKind mlp_vae_kind() {
  const PresetValues published{{"dtype", "float32"},  {"latent", "128"},       {"beta", "4"},
                               {"loss", "bernoulli"}, {"hidden", "published"}, {"activation", "relu"},
                               {"rate", "0.0001"},    {"batch", "64"},         {"held-out", "1000"}};
  return {"mlp-vae",
          "a VAE of perceptrons",
          {rate_option,
           latent_option,
           beta_option,
           loss_option,
           {"hidden",
            "hidden widths of the encoder, the decoder's backwards; published: 8, 4 and 2 times --latent"},
           activation_option},
          {"rate"},
          {{"published", published}},
          [](const ChosenOptions& options, const InstanceKind& instances) {
            const std::int64_t d = options.integer("latent", 1);
            const bool published = options.text("hidden") == "published";
            return made(
                mlp_vae(instances.width(),
                        published ? std::vector<std::int64_t>{8 * d, 4 * d, 2 * d} : options.widths("hidden"),
                        d, parse_activation("activation", options.text("activation"))),
                options, instances);
          },
          PixelRange::zero_to_one};
}

GameKind conv_vae_kind() {
  const PresetValues published{{"dtype", "float32"},         {"latent", "64"},     {"beta", "2"},
                               {"loss", "squared"},          {"image-size", "64"}, {"rate", "0.0003"},
                               {"resize-rounding", "false"}, {"batch", "64"},      {"held-out", "500"}};
  return {
      "conv-vae",
      "a convolutional VAE on 3 x 64 x 64 pixels",
      {rate_option,
       latent_option,
       beta_option,
       loss_option,
       {"image-size", "pixels a side that images are resized to; 0: as they are"},
       {"resize-rounding", "resize in whole bytes, as Pillow and pipelines of pictures do: true or false"}},
      {"rate"},
      {{"published", published}},
      [](const ChosenOptions& options, const InstanceKind& instances) {
        if (instances.shape != std::vector<std::int64_t>{3, 64, 64})
          refuse("--game: conv-vae is for images of 3 x 64 x 64, but the data's have the shape [{}]",
                 fmt::join(instances.shape, ", "));
        return made(conv_vae(options.integer("latent", 1)), options, instances);
      },
      PixelRange::zero_to_one};
}

}  // namespace whence
