#include "whence/core/error.h"
#include "whence/game/dcgan.h"
#include "whence/game/registry.h"

namespace whence {

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
          {"rate-generator", "rate-discriminator", "l2", "latent", "channels"},
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
