#pragma once
// What `whence cleanse` knows before it takes any step.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "whence/retrain/cleansing.h"
#include "whence/retrain/selection.h"

#include "job.h"
#include "metric_classifier.h"

namespace whence {

struct CleansePlan {
  std::unique_ptr<Run> run;
  MetricClassifier metric_classifier;
  std::vector<Selection> selections;
  InfluenceEstimates estimates;  ///< where a selection needs them
  std::vector<std::shared_ptr<const Metric>> metrics;
  std::int64_t epochs_back = 1, samples = 0;
  std::optional<std::int64_t> replicas;  ///< of --replicas
  Cleansing result;
  Attributes attributes;
  std::string path;
};

/// Reads the options and opens the run; UsageError naming the option for impossible values.
CleansePlan read_cleanse_plan(const Options& options, const DataPlaces& places, at::Device device);

/// Each selection's order of instances, most harmful first, found by rank 0 so that all ranks remove the
/// same; fills what the result says of instances. Collective.
std::vector<std::vector<std::int64_t>> order_instances(CleansePlan& plan, const Communicator& world);

}  // namespace whence
