#include "whence/core/error.h"
#include "whence/game/classifier.h"
#include "whence/game/registry.h"

namespace whence {

// Terashita et al., table 1 and appendix C.1: trained on the instances that the GAN's run holds out.
GameKind classifier_kind() {
  const PresetValues published{{"dtype", "float32"},  {"channels", "8"},       {"rate-classifier", "0.01"},
                               {"optimiser", "adam"}, {"batch", "100"},        {"l2", "0"},
                               {"held-out", "10000"}, {"train-on", "held-out"}};
  return {
      "classifier",
      {"rate-classifier", "l2", "channels"},
      {"rate-classifier"},
      {{"published", published}, {"paper", published}},
      [](const ChosenOptions& options, const InstanceKind& instances) -> std::shared_ptr<const Game> {
        if (instances.classes == 0)
          refuse("--game: classifier needs labels, which --data {} does not give", instances.source);
        if (instances.shape.size() != 2 || instances.shape[0] != instances.shape[1] || instances.shape[0] < 4)
          refuse(
              "--game: classifier is for square images of at least 4 x 4 pixels, which --data {} does "
              "not give",
              instances.source);
        return std::make_shared<Classifier>(ClassifierOptions{instances.shape[0], instances.classes,
                                                              options.integer("channels", 1),
                                                              options.real("l2"), options.dtype()});
      }};
}

}  // namespace whence
