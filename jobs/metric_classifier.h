#pragma once
// The classifier that metrics of images judge by, as jobs are given it: --classifier RUN.

#include <memory>
#include <string>

#include "whence/game/trained_classifier.h"
#include "whence/metric/metric.h"

#include "job.h"

namespace whence {

OptionTable& add_classifier_option(OptionTable& table);
/// --metric, `auto` unless given.
OptionTable& add_metric_option(OptionTable& table, const std::string& which);

/// What --classifier names: the network with its final theta in the dtype of the run's game and on its
/// device, and a text that changes with any of its parameters; nothing, and "none", where the option is not
/// given. `caution` says how many of the run's training instances the classifier was trained on, if any.
struct MetricClassifier {
  std::shared_ptr<const TrainedClassifier> classifier;
  std::string fingerprint = "none";
  std::string caution;
};

/// What metrics judge the run by while influence is estimated, and what tests the decisions afterwards.
Validation validation_of(const RunParts& parts, const MetricClassifier& metric_classifier);

/// The names that --metric gives, or, for `auto`, the first metric that there is for the game (metrics_for).
std::vector<std::string> metric_names_of(const Options& options, const Game& game);

/// --noise-draws, for metrics_over_draws.
OptionTable& add_noise_draws_option(OptionTable& table);
/// Metrics by name (make_metrics), each the mean over so many draws of the latents that it looks through; the
/// first draw is validation_of's.
std::vector<std::shared_ptr<const Metric>> metrics_over_draws(const std::vector<std::string>& names,
                                                              const RunParts& parts,
                                                              const MetricClassifier& metric_classifier,
                                                              std::int64_t draws);
Validation test_of(const RunParts& parts, const MetricClassifier& metric_classifier);

/// UsageError naming --classifier when the folder is no classifier's.
MetricClassifier read_metric_classifier(const Options& options, const RunParts& parts);

/// The share of held-out and test images that a classifier's run gets right, in words; "" for other games.
std::string accuracy_report(const RunParts& parts, const at::Tensor& params);

}  // namespace whence
