#include "whence/game/fcgan.h"

namespace whence {
namespace {

constexpr std::int64_t generator = 0, discriminator = 1;

std::vector<std::int64_t> joined(std::int64_t in, const std::vector<std::int64_t>& hidden, std::int64_t out) {
  std::vector<std::int64_t> widths{in};
  widths.insert(widths.end(), hidden.begin(), hidden.end());
  widths.push_back(out);
  return widths;
}

}  // namespace

Fcgan::Fcgan(FcganOptions options)
    : options_(std::move(options)),
      layout_({"generator", "discriminator"}),
      generator_(layout_, generator, "generator",
                 {joined(options_.latent_size, options_.generator_hidden, options_.data_width),
                  options_.hidden, options_.generator_output, options_.biases}),
      discriminator_(layout_, discriminator, "discriminator",
                     {joined(options_.data_width, options_.discriminator_hidden, 1), options_.hidden,
                      Activation::linear, options_.biases}) {}

at::Tensor Fcgan::initial_parameters(std::uint64_t seed) const {
  return glorot_uniform(layout_, seed, options_.dtype);
}

at::Tensor Fcgan::generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents,
                           double kink_width) const {
  return generator_.forward(tensors, latents, kink_width);
}

at::Tensor Fcgan::logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points,
                         double kink_width) const {
  return discriminator_.forward(tensors, points, kink_width).squeeze(2);
}

std::vector<at::Tensor> Fcgan::losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                      const at::Tensor& weights, double kink_width) const {
  return adversarial_losses(*this, tensors, batch, weights, kink_width, options_.l2);
}

}  // namespace whence
