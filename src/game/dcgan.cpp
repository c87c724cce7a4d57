#include "whence/game/dcgan.h"

#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/game/engine.h"
#include "whence/game/registry.h"
#include "whence/native/conv_function.h"
#include "whence/net/activation.h"

#include "conv_gan_engine.h"

namespace whence {
namespace {

constexpr std::int64_t generator_player = 0, discriminator_player = 1;
constexpr std::int64_t kernels[] = {4, 3, 3, 2, 3, 3, 2}, strides[] = {1, 2, 1, 1, 2, 1, 1};
constexpr int layers = 7;

// The generator mirrors the discriminator.
std::vector<Layer> generator_layers(std::int64_t channels) {
  std::vector<Layer> list;
  for (int i = layers; i-- > 0;)
    list.push_back({LayerKind::transposed, kernels[i], strides[i], 0, channels, Activation::sigmoid, true});
  list.push_back({LayerKind::convolution, 1, 1, 0, 1, Activation::tanh, false});
  return list;
}

std::vector<Layer> discriminator_layers(std::int64_t channels) {
  std::vector<Layer> list;
  for (int i = 0; i < layers; ++i)
    list.push_back({LayerKind::convolution, kernels[i], strides[i], 0, channels, Activation::sigmoid, true});
  list.push_back({LayerKind::convolution, 1, 1, 0, 1, Activation::linear, false});
  return list;
}

}  // namespace

Dcgan::Dcgan(DcganOptions options)
    : options_(options),
      layout_({"generator", "discriminator"}),
      generator_(layout_, generator_player, "generator", {options.latent_size, 1, 1},
                 generator_layers(options.channels)),
      discriminator_(layout_, discriminator_player, "discriminator", {1, side, side},
                     discriminator_layers(options.channels)),
      native_generator_(std::make_shared<ConvFunction>(generator_, options.dtype)) {}

at::Tensor Dcgan::initial_parameters(std::uint64_t seed) const {
  at::Tensor theta = glorot_uniform(layout_, seed, options_.dtype);
  generator_.set_gains(theta);
  discriminator_.set_gains(theta);
  return theta;
}

at::Tensor Dcgan::generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents, double) const {
  return generator_.forward(tensors, latents);
}

at::Tensor Dcgan::logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points, double) const {
  return discriminator_.forward(tensors, points).squeeze(2);
}

std::vector<at::Tensor> Dcgan::losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                      const at::Tensor& weights, double kink_width) const {
  return adversarial_losses(*this, tensors, batch, weights, kink_width, options_.l2);
}

at::Tensor Dcgan::samples(const at::Tensor& params, const at::Tensor& latents) const {
  if (!params.device().is_cpu()) return AdversarialGame::samples(params, latents);
  return native_generator_->forward(params, latents, {generator_.stages().size() - 1})[0];
}

at::Tensor Dcgan::samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                                    const at::Tensor& by_sample) const {
  if (!params.device().is_cpu()) return AdversarialGame::samples_pull_back(params, latents, by_sample);
  at::Tensor by_theta = at::zeros_like(params);
  native_generator_->pull_back(params, latents, {generator_.stages().size() - 1}, {by_sample}, false,
                               by_theta);
  return by_theta;
}

std::unique_ptr<const Engine> Dcgan::native_engine(const std::string& variant) const {
  return make_conv_gan_engine(*this, variant);
}

// Terashita et al.: the authors' experiments have the network of the paper's table 4.
GameKind dcgan_kind() {
  const PresetValues published{{"dtype", "float32"},
                               {"latent", "32"},
                               {"channels", "8"},
                               {"rate-generator", "0.001"},
                               {"rate-discriminator", "0.001"},
                               {"batch", "100"},
                               {"l2", "0.001"},
                               {"held-out", "10000"}};
  return {"dcgan",
          "a convolutional GAN on 28 x 28 pixels",
          {generator_rate_option, discriminator_rate_option, l2_option, latent_option, channels_option},
          {"rate-generator", "rate-discriminator"},
          {{"published", published}, {"paper", published}},
          [](const ChosenOptions& options, const InstanceKind& instances) -> std::shared_ptr<const Game> {
            if (instances.shape != std::vector<std::int64_t>{Dcgan::side, Dcgan::side})
              refuse("--game: dcgan is for images of {} x {} pixels, which --data {} does not give",
                     Dcgan::side, Dcgan::side, instances.source);
            return std::make_shared<Dcgan>(DcganOptions{options.integer("latent", 1),
                                                        options.integer("channels", 1), options.real("l2"),
                                                        options.dtype()});
          }};
}

}  // namespace whence
