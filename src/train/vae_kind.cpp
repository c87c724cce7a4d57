#include <ATen/ops/max.h>
#include <ATen/ops/min.h>

#include "whence/core/error.h"
#include "whence/game/vae.h"
#include "whence/train/games.h"

namespace whence {
namespace {

Likelihood likelihood(const ChosenOptions& options, const Dataset& data) {
  const std::string name = options.text("loss");
  if (name == "squared") return Likelihood::squared;
  if (name != "bernoulli") refuse("--loss: '{}' is not bernoulli or squared", name);
  const double least = data.instances.min().item<double>(), most = data.instances.max().item<double>();
  if (least < 0 || most > 1)
    refuse("--loss: bernoulli is for data in [0, 1], but these have numbers from {} to {}", least, most);
  return Likelihood::bernoulli;
}

std::shared_ptr<const Game> made(VaeOptions vae, const ChosenOptions& options, const Dataset& data) {
  vae.beta = options.real("beta");
  vae.likelihood = likelihood(options, data);
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
      [](const ChosenOptions& options, const Dataset& data) {
        const std::int64_t d = options.integer("latent", 1);
        const bool published = options.text("hidden") == "published";
        return made(
            mlp_vae(data.width(),
                    published ? std::vector<std::int64_t>{8 * d, 4 * d, 2 * d} : options.widths("hidden"), d),
            options, data);
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
          [](const ChosenOptions& options, const Dataset& data) {
            if (data.shape != std::vector<std::int64_t>{3, 64, 64})
              refuse("--game: conv-vae is for images of 3 x 64 x 64, but the data's have the shape [{}]",
                     fmt::join(data.shape, ", "));
            return made(conv_vae(options.integer("latent", 1)), options, data);
          },
          PixelRange::zero_to_one};
}

}  // namespace whence
