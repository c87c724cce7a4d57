#include "metric_classifier.h"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <set>
#include <utility>
#include <vector>

#include "whence/core/error.h"
#include "whence/metric/mean_metric.h"
#include "whence/train/step.h"

namespace whence {
namespace {

std::string caution_about(const RunParts& judge, const RunParts& parts) {
  if (judge.settings.data.source != parts.settings.data.source) return "";
  const std::vector<std::int64_t>& ids = parts.data.train.ids;
  const std::set<std::int64_t> seen(judge.data.train.ids.begin(), judge.data.train.ids.end());
  const auto both =
      std::count_if(ids.begin(), ids.end(), [&](std::int64_t id) { return seen.count(id) > 0; });
  if (both == 0) return "";
  return fmt::format(
      "--classifier: was trained on {} of the {} training instances of this run; with the same --seed and "
      "--instances the two are disjoint",
      both, ids.size());
}

at::Tensor labels_of(const Dataset& data, at::Device device) {
  return data.labels.defined() ? data.labels.to(device) : data.labels;
}

}  // namespace

OptionTable& add_classifier_option(OptionTable& table) {
  return table.add<std::string>("classifier", "",
                                "run folder of a classifier (whence train --game classifier); is, log-is and "
                                "fid need it",
                                Kind::execution);
}

OptionTable& add_metric_option(OptionTable& table, const std::string& which) {
  return table.add<std::string>(
      "metric", "auto",
      which +
          ", comma between: all, is, log-is, fid, disc-loss, gen-loss; for VAEs loss, loss:NUMBER; auto: "
          "the first of them that there is for the run's game");
}

std::vector<std::string> metric_names_of(const Options& options, const Game& game) {
  const std::string text = options.text("metric");
  return text == "auto" ? std::vector<std::string>{metrics_for(&game).front()} : split_list("metric", text);
}

MetricClassifier read_metric_classifier(const Options& options, const RunParts& parts) {
  const std::string folder = options.text("classifier");
  if (folder.empty()) return {};
  // A classifier of the same data finds them where the run does.
  const bool same_source = settings_in(folder).options.text("data") == parts.settings.options.text("data");
  const Run run(folder, at::kCPU,
                {same_source ? parts.settings.data.source : "", "", "", "", parts.settings.data.access});
  const ImageClassifier* trained = run.parts().game->classifier();
  if (trained == nullptr)
    refuse("--classifier: {} holds a run of {}, not of a classifier", folder, run.parts().game->name());
  const at::ScalarType dtype = parts.game->dtype();
  return {std::make_shared<TrainedClassifier>(TrainedClassifier{
              trained->in_dtype(dtype), run.params(run.steps()).to(dtype).to(parts.device)}),
          run.trajectory().fingerprint(), caution_about(run.parts(), parts)};
}

Validation validation_of(const RunParts& parts, const MetricClassifier& metric_classifier) {
  if (parts.data.held_out.size() == 0)
    refuse("--metric: this run holds out no instances to judge by (whence train --held-out)");
  return {parts.held_out_instances(), parts.validation_latents(), metric_classifier.classifier,
          labels_of(parts.data.held_out, parts.device)};
}

OptionTable& add_noise_draws_option(OptionTable& table) {
  return table.add<std::int64_t>(
      "noise-draws", 1, "a metric is the mean over so many draws of the latents (or noise) it looks through");
}

std::vector<std::shared_ptr<const Metric>> metrics_over_draws(const std::vector<std::string>& names,
                                                              const RunParts& parts,
                                                              const MetricClassifier& metric_classifier,
                                                              std::int64_t draws) {
  Validation validation = validation_of(parts, metric_classifier);
  auto metrics = make_metrics(names, parts.game, validation);
  if (draws == 1) return metrics;
  std::vector<std::vector<std::shared_ptr<const Metric>>> all;
  for (const auto& first : metrics) all.push_back({first});
  for (std::int64_t draw = 1; draw < draws; ++draw) {
    validation.latents = validation_latents(parts.settings.seed, parts.data.held_out.size(),
                                            parts.game->latent_size(), parts.game->dtype(), draw)
                             .to(parts.device);
    const auto drawn = make_metrics(names, parts.game, validation);
    for (std::size_t m = 0; m < drawn.size(); ++m) all[m].push_back(drawn[m]);
  }
  for (std::size_t m = 0; m < metrics.size(); ++m) metrics[m] = std::make_shared<MeanMetric>(all[m]);
  return metrics;
}

Validation test_of(const RunParts& parts, const MetricClassifier& metric_classifier) {
  return {parts.test_instances(), parts.test_latents(), metric_classifier.classifier,
          labels_of(parts.data.test, parts.device)};
}

std::string accuracy_report(const RunParts& parts, const at::Tensor& params) {
  const auto network = shared_capability(parts.game, &Game::classifier);
  if (network == nullptr) return "";
  const TrainedClassifier trained{network, params};
  std::string text;
  for (const auto& [name, set] : {std::pair<const char*, const Dataset*>{"held-out", &parts.data.held_out},
                                  std::pair<const char*, const Dataset*>{"test", &parts.data.test}})
    if (set->instances.defined())
      text +=
          fmt::format("accuracy on {} {} instances: {:.4f}\n", set->size(), name,
                      trained.accuracy(set->instances.all().to(parts.device), set->labels.to(parts.device)));
  return text;
}

}  // namespace whence
