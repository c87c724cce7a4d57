#include "whence/game/fcgan.h"
#include "whence/game/registry.h"

namespace whence {

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
          {"rate-generator", "rate-discriminator", "l2", "latent", "generator-hidden", "discriminator-hidden",
           "activation", "generator-output", "biases"},
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
