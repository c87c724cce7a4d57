#include "whence/core/error.h"
#include "whence/game/registry.h"
#include "whence/game/vae.h"

namespace whence {
namespace {

Likelihood likelihood(const ChosenOptions& options, const InstanceKind& instances) {
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
  vae.likelihood = likelihood(options, instances);
  vae.dtype = options.dtype();
  return std::make_shared<Vae>(std::move(vae));
}

}  // namespace

// Presets: Kong and Chaudhuri's experiments (NeurIPS 2021).
GameKind mlp_vae_kind() {
  const PresetValues published{{"dtype", "float32"},  {"latent", "128"},       {"beta", "4"},
                               {"loss", "bernoulli"}, {"hidden", "published"}, {"rate", "0.0001"},
                               {"batch", "64"},       {"held-out", "1000"}};
  return {
      "mlp-vae",
      {"rate", "latent", "beta", "loss", "hidden"},
      {"rate"},
      {{"published", published}},
      [](const ChosenOptions& options, const InstanceKind& instances) {
        const std::int64_t d = options.integer("latent", 1);
        const bool published = options.text("hidden") == "published";
        return made(
            mlp_vae(instances.width(),
                    published ? std::vector<std::int64_t>{8 * d, 4 * d, 2 * d} : options.widths("hidden"), d),
            options, instances);
      },
      PixelRange::zero_to_one};
}

GameKind conv_vae_kind() {
  const PresetValues published{{"dtype", "float32"}, {"latent", "64"},     {"beta", "2"},
                               {"loss", "squared"},  {"image-size", "64"}, {"rate", "0.0003"},
                               {"batch", "64"},      {"held-out", "500"}};
  return {"conv-vae",
          {"rate", "latent", "beta", "loss", "image-size"},
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
