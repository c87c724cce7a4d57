#include "whence/game/dcgan.h"

#include <ATen/ops/zeros_like.h>

#include "whence/native/conv_function.h"
#include "whence/net/activation.h"

namespace whence {
namespace {

constexpr std::int64_t generator_player = 0, discriminator_player = 1;
constexpr std::int64_t kernels[] = {4, 3, 3, 2, 3, 3, 2}, strides[] = {1, 2, 1, 1, 2, 1, 1};
constexpr int layers = 7;

// The generator mirrors the discriminator.
std::vector<ConvLayer> generator_layers(std::int64_t channels) {
  std::vector<ConvLayer> list;
  for (int i = layers; i-- > 0;)
    list.push_back({ConvKind::transposed, kernels[i], strides[i], 0, channels, Activation::sigmoid, true});
  list.push_back({ConvKind::convolution, 1, 1, 0, 1, Activation::tanh, false});
  return list;
}

std::vector<ConvLayer> discriminator_layers(std::int64_t channels) {
  std::vector<ConvLayer> list;
  for (int i = 0; i < layers; ++i)
    list.push_back({ConvKind::convolution, kernels[i], strides[i], 0, channels, Activation::sigmoid, true});
  list.push_back({ConvKind::convolution, 1, 1, 0, 1, Activation::linear, false});
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

}  // namespace whence
