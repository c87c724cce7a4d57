#include "whence/metric/metric.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/metric/average_log_likelihood.h"
#include "whence/metric/image_metrics.h"
#include "whence/metric/loss.h"
#include "whence/metric/own_metric.h"

namespace whence {
namespace {

std::shared_ptr<const Generator> generator_of(const std::shared_ptr<const Game>& game,
                                              const std::string& metric) {
  auto found = shared_capability(game, &Game::generator);
  if (found == nullptr)
    refuse("--metric: {} needs a generator, which the game {} has not got (it has {})", metric, game->name(),
           fmt::format("{}", fmt::join(metrics_for(game.get()), ", ")));
  return found;
}

// The loss of the player of that name.
std::shared_ptr<const Metric> player_loss(const std::string& name, const std::string& player,
                                          const std::shared_ptr<const Game>& game,
                                          const Validation& validation) {
  const std::vector<std::string>& players = game->layout().players();
  const auto found = std::find(players.begin(), players.end(), player);
  if (found == players.end())
    refuse("--metric: {} needs a {}, which the game {} has not got", name, player, game->name());
  return std::make_shared<LossMetric>(name, found - players.begin(), game, validation);
}

// "PLAYER-loss" for a player of another name than the two above.
bool names_player_loss(const std::string& name, const Game& game, std::string& player) {
  const std::string end = "-loss";
  if (name.size() <= end.size() || name.substr(name.size() - end.size()) != end) return false;
  player = name.substr(0, name.size() - end.size());
  const auto& players = game.layout().players();
  return std::find(players.begin(), players.end(), player) != players.end();
}

// "loss", over all held-out instances, or "loss:K", of number K of them.
std::shared_ptr<const Metric> one_player_loss(const std::string& name,
                                              const std::shared_ptr<const Game>& game,
                                              const Validation& validation) {
  if (game->layout().player_count() != 1)
    refuse("--metric: {} is for games of one player, and {} has {}", name, game->name(),
           game->layout().player_count());
  if (name == "loss") return std::make_shared<LossMetric>(name, 0, game, validation);
  const std::string text = name.substr(5);
  const bool number =
      !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!number || std::stoll(text) >= validation.held_out.size(0))
    refuse("--metric: {} does not name one of the {} held-out instances, loss:0 to loss:{}", name,
           validation.held_out.size(0), validation.held_out.size(0) - 1);
  const std::int64_t row = std::stoll(text);
  Validation one{validation.held_out.narrow(0, row, 1), validation.latents.narrow(0, row, 1)};
  if (validation.labels.defined()) one.labels = validation.labels.narrow(0, row, 1);
  return std::make_shared<LossMetric>(name, 0, game, one);
}

std::shared_ptr<const TrainedClassifier> fitting_classifier(const Validation& validation,
                                                            const std::string& metric) {
  if (validation.classifier == nullptr)
    refuse("--classifier: the metric {} needs the run folder of a classifier", metric);
  const std::int64_t pixels = validation.classifier->network->pixels();
  if (pixels != validation.held_out.size(1))
    refuse("--classifier: is for instances of {} numbers, not {}", pixels, validation.held_out.size(1));
  if (metric == "fid" && validation.held_out.size(0) < 2)
    refuse(
        "--metric: fid needs the covariance of at least two images, and there is one (--held-out, or "
        "--test)");
  return validation.classifier;
}

}  // namespace

std::vector<std::string> metrics_for(const Game* game) {
  if (game == nullptr) return {"all", "is", "log-is", "fid", "disc-loss", "gen-loss"};
  std::vector<std::string> names;
  if (game->generator() != nullptr) names = {"all", "is", "log-is", "fid"};
  if (game->layout().player_count() == 1) {
    names.insert(names.end(), {"loss", "loss:0"});
  } else {
    for (const std::string& player : game->layout().players())
      names.push_back(player == "discriminator" ? "disc-loss"
                      : player == "generator"   ? "gen-loss"
                                                : player + "-loss");
  }
  if (const OwnMetrics* own = game->own_metrics(); own != nullptr)
    for (const std::string& name : own->metric_names()) names.push_back(name);
  return names;
}

Evaluation Metric::evaluate(const at::Tensor& params, const Communicator& ranks,
                            const ShareDone& done) const {
  const Evaluation evaluation = evaluate_in_chunks(params, ranks, done);
  done(1);
  return evaluation;
}

Evaluation Metric::evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                      const ShareDone& done) const {
  const at::Tensor by_params = gradient(params, ranks);
  ranks.wait_for_device();
  done(0.5);
  return {value(params.unsqueeze(0))[0].item<double>(), by_params};
}

Evaluations evaluate_all(const std::vector<std::shared_ptr<const Metric>>& metrics, const at::Tensor& params,
                         const Communicator& ranks, const ShareDone& done) {
  std::vector<double> values;
  at::Tensor gradients;
  for (const auto& metric : metrics) {
    const auto before = static_cast<double>(values.size()), all = static_cast<double>(metrics.size());
    const Evaluation one =
        metric->evaluate(params, ranks, [&](double share) { done((before + share) / all); });
    if (!gradients.defined())
      gradients = at::empty({static_cast<std::int64_t>(metrics.size()), one.gradient.size(0)},
                            one.gradient.options());
    gradients[static_cast<std::int64_t>(values.size())].copy_(one.gradient);
    values.push_back(one.value);
  }
  return {at::tensor(values, at::kDouble), gradients};
}

bool looks_at_images(const std::string& metric) {
  return metric == "is" || metric == "log-is" || metric == "fid";
}

bool larger_is_better(const std::string& option, const std::string& metric, const Game* game) {
  if (metric == "all" || metric == "is" || metric == "log-is") return true;
  if (metric == "fid" || metric == "disc-loss" || metric == "gen-loss") return false;
  if (game != nullptr) {
    std::string player;
    if (names_player_loss(metric, *game, player)) return false;
    if (game->layout().player_count() == 1 && (metric == "loss" || metric.rfind("loss:", 0) == 0))
      return false;
    if (const OwnMetrics* own = game->own_metrics(); own != nullptr) {
      const auto names = own->metric_names();
      if (std::find(names.begin(), names.end(), metric) != names.end())
        return own->metric_larger_is_better(metric);
    }
  }
  refuse_value(option, metric, metrics_for(game));
}

std::vector<std::shared_ptr<const Metric>> make_metrics(const std::vector<std::string>& names,
                                                        const std::shared_ptr<const Game>& game,
                                                        const Validation& validation) {
  std::vector<std::shared_ptr<const Metric>> metrics;
  for (const std::string& name : names) {
    if (std::count(names.begin(), names.end(), name) > 1) refuse("--metric: {} is there twice", name);
    if (name == "all")
      metrics.push_back(std::make_shared<AverageLogLikelihood>(generator_of(game, name), validation));
    else if (name == "gen-loss")
      metrics.push_back(player_loss(name, "generator", game, validation));
    else if (name == "disc-loss")
      metrics.push_back(player_loss(name, "discriminator", game, validation));
    else if (name == "is" || name == "log-is")
      metrics.push_back(std::make_shared<InceptionScore>(name == "log-is", generator_of(game, name),
                                                         fitting_classifier(validation, name),
                                                         validation.latents));
    else if (name == "fid")
      metrics.push_back(std::make_shared<FrechetInceptionDistance>(
          generator_of(game, name), fitting_classifier(validation, name), validation));
    else if (name == "loss" || name.rfind("loss:", 0) == 0)
      metrics.push_back(one_player_loss(name, game, validation));
    else if (std::string player; names_player_loss(name, *game, player))
      metrics.push_back(player_loss(name, player, game, validation));
    else if (const auto own = own_metric(name, game, validation); own != nullptr)
      metrics.push_back(own);
    else
      refuse_value("metric", name, metrics_for(game.get()));
  }
  return metrics;
}

}  // namespace whence
