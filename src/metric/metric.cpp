#include "whence/metric/metric.h"

#include <algorithm>

#include "whence/core/error.h"
#include "whence/metric/average_log_likelihood.h"
#include "whence/metric/loss.h"

namespace whence {
namespace {

std::shared_ptr<const AdversarialGame> adversarial(const std::shared_ptr<const Game>& game,
                                                   const std::string& metric) {
  auto found = std::dynamic_pointer_cast<const AdversarialGame>(game);
  if (found == nullptr)
    refuse("--metric: {} needs a generator, which the game {} has not got", metric, game->name());
  return found;
}

}  // namespace

std::vector<std::shared_ptr<const Metric>> make_metrics(const std::vector<std::string>& names,
                                                        const std::shared_ptr<const Game>& game,
                                                        const Validation& validation) {
  std::vector<std::shared_ptr<const Metric>> metrics;
  for (const std::string& name : names) {
    if (std::count(names.begin(), names.end(), name) > 1) refuse("--metric: {} is there twice", name);
    if (name == "all")
      metrics.push_back(std::make_shared<AverageLogLikelihood>(adversarial(game, name), validation));
    else if (name == "gen-loss")
      metrics.push_back(std::make_shared<LossMetric>(name, 0, adversarial(game, name), validation));
    else if (name == "disc-loss")
      metrics.push_back(std::make_shared<LossMetric>(name, 1, adversarial(game, name), validation));
    else
      refuse("--metric: '{}' is not all, disc-loss or gen-loss", name);
  }
  return metrics;
}

}  // namespace whence
