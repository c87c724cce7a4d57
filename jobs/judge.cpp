#include "judge.h"

#include <fmt/format.h>

#include "whence/core/error.h"

namespace whence {

OptionTable& add_classifier_option(OptionTable& table) {
  return table.add<std::string>("classifier", "",
                                "run folder of a classifier (whence train --game classifier); is, log-is and "
                                "fid need it",
                                Kind::execution);
}

Judge read_judge(const Options& options, const RunParts& parts) {
  const std::string folder = options.text("classifier");
  if (folder.empty()) return {};
  const Run run(folder);
  const auto trained = std::dynamic_pointer_cast<const Classifier>(run.parts().game);
  if (trained == nullptr)
    refuse("--classifier: {} holds a run of {}, not of a classifier", folder, run.parts().game->name());
  ClassifierOptions same = trained->options();
  same.dtype = parts.game->dtype();
  return {std::make_shared<TrainedClassifier>(TrainedClassifier{
              std::make_shared<Classifier>(same), run.params(run.steps()).to(same.dtype).to(parts.device)}),
          run.trajectory().fingerprint()};
}

std::string accuracy_report(const RunParts& parts, const at::Tensor& params) {
  const auto network = std::dynamic_pointer_cast<const Classifier>(parts.game);
  if (network == nullptr) return "";
  const TrainedClassifier trained{network, params};
  std::string text;
  for (const auto& [name, set] : {std::pair<const char*, const Dataset*>{"held-out", &parts.data.held_out},
                                  std::pair<const char*, const Dataset*>{"test", &parts.data.test}})
    if (set->instances.defined())
      text += fmt::format("accuracy on {} {} instances: {:.4f}\n", set->size(), name,
                          trained.accuracy(set->instances.to(parts.device), set->labels.to(parts.device)));
  return text;
}

}  // namespace whence
