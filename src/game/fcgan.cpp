#include "whence/game/fcgan.h"

#include "whence/game/engine.h"
#include "whence/game/registry.h"
#include "whence/net/activation.h"

#include "perceptron_gan_engine.h"

namespace whence {
namespace {

constexpr std::int64_t generator_player = 0, discriminator_player = 1;

std::vector<std::int64_t> widths_of(std::int64_t in, const std::vector<std::int64_t>& hidden,
                                    std::int64_t out) {
  std::vector<std::int64_t> widths{in};
  widths.insert(widths.end(), hidden.begin(), hidden.end());
  widths.push_back(out);
  return widths;
}

}  // namespace

Fcgan::Fcgan(FcganOptions options)
    : options_(std::move(options)),
      layout_({"generator", "discriminator"}),
      generator_(perceptron(layout_, generator_player, "generator",
                            widths_of(options_.latent_size, options_.generator_hidden, options_.data_width),
                            options_.hidden, options_.generator_output, options_.biases)),
      discriminator_(perceptron(layout_, discriminator_player, "discriminator",
                                widths_of(options_.data_width, options_.discriminator_hidden, 1),
                                options_.hidden, Activation::linear, options_.biases)) {}

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

std::int64_t Fcgan::instance_player() const { return discriminator_player; }

std::vector<at::Tensor> Fcgan::losses_seen(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                           const at::Tensor& weights, DenseWatch& instances,
                                           DenseWatch& latents) const {
  const at::Tensor real = discriminator_.forward(tensors, batch.instances, instances).squeeze(2);
  const at::Tensor points = generator_.forward(tensors, batch.latents, latents);
  const at::Tensor fake = discriminator_.forward(tensors, points, latents).squeeze(2);
  return adversarial_losses(layout_, real, fake, tensors, batch, weights, options_.l2);
}

std::unique_ptr<const Engine> Fcgan::native_engine(const std::string& variant) const {
  return make_perceptron_gan_engine(*this, variant);
}

// `published`: the authors' experiments; `paper`: tables 2 and 3 of Terashita et al.
GameKind fcgan_kind() {
  const PresetValues both{{"dtype", "float64"},
                          {"latent", "10"},
                          {"activation", "relu"},
                          {"rate-generator", "0.001"},
                          {"rate-discriminator", "0.001"},
                          {"batch", "100"}};
  PresetValues published = both, paper = both;
  published.insert({{"generator-hidden", "32,32"},
                    {"discriminator-hidden", "64,64"},
                    {"biases", "false"},
                    {"generator-output", "linear"},
                    {"l2", "0"},
                    {"held-out", "1000"}});
  paper.insert({{"generator-hidden", "32"},
                {"discriminator-hidden", "64"},
                {"biases", "true"},
                {"generator-output", "tanh"},
                {"l2", "0.001"},
                {"held-out", "10000"}});
  return {"fcgan",
          "a GAN of perceptrons",
          {generator_rate_option,
           discriminator_rate_option,
           l2_option,
           latent_option,
           {"generator-hidden", "hidden widths of the generator, e.g. 32,32"},
           {"discriminator-hidden", "hidden widths of the discriminator, e.g. 64,64"},
           activation_option,
           {"generator-output", "output activation of the generator: linear or tanh"},
           {"biases", "whether layers have biases: true or false"}},
          {"rate-generator", "rate-discriminator"},
          {{"published", published}, {"paper", paper}},
          [](const ChosenOptions& options, const InstanceKind& instances) -> std::shared_ptr<const Game> {
            return std::make_shared<Fcgan>(
                FcganOptions{instances.width(), options.integer("latent", 1),
                             options.widths("generator-hidden"), options.widths("discriminator-hidden"),
                             parse_activation("activation", options.text("activation")),
                             parse_activation("generator-output", options.text("generator-output")),
                             options.yes_or_no("biases"), options.real("l2"), options.dtype()});
          }};
}

}  // namespace whence
