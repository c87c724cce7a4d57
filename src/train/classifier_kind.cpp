#include "whence/core/error.h"
#include "whence/game/classifier.h"
#include "whence/train/games.h"

namespace whence {

// Terashita et al., table 1 and appendix C.1: trained on the instances that the GAN's run holds out.
GameKind classifier_kind() {
  const PresetValues published{{"dtype", "float32"},  {"channels", "8"},       {"rate-classifier", "0.01"},
                               {"optimiser", "adam"}, {"batch", "100"},        {"l2", "0"},
                               {"held-out", "10000"}, {"train-on", "held-out"}};
  return {"classifier",
          {"rate-classifier", "l2", "channels"},
          {"rate-classifier"},
          {{"published", published}, {"paper", published}},
          [](const ChosenOptions& options, const Dataset& data) -> std::shared_ptr<const Game> {
            if (!data.labels.defined())
              refuse("--game: classifier needs labels, which --data {} does not give", options.text("data"));
            if (data.shape.size() != 2 || data.shape[0] != data.shape[1] || data.shape[0] < 4)
              refuse(
                  "--game: classifier is for square images of at least 4 x 4 pixels, which --data {} does "
                  "not give",
                  options.text("data"));
            const std::int64_t classes = data.labels.max().item<std::int64_t>() + 1;
            return std::make_shared<Classifier>(ClassifierOptions{
                data.shape[0], classes, options.integer("channels", 1), options.real("l2"), options.dtype()});
          }};
}

}  // namespace whence
