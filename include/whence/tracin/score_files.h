#pragma once
// Scores of training instances in files: Whence's own results and those of other libraries.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "whence/train/trajectory/reader.h"

namespace whence {

/// Estimates of every training instance for some metrics, by position; larger: removing it raises the metric
/// more.
struct Scores {
  std::string source;  ///< "influence, kink 0.001", "tracin-self", "FILE"
  /// Estimate [N] of a metric at k epochs back; 0: of every k.
  std::map<std::pair<std::string, std::int64_t>, std::vector<double>> by_metric;
};

/// The estimates in a run folder: influence.h5 by kink width, tracin*.h5 of held-out instances (query q is
/// the metric loss:q) or of metrics; then those of `files`. Error naming a file that cannot be read.
std::vector<Scores> scores_of(const std::string& folder, const std::vector<std::string>& files,
                              const Trajectory& trajectory);

}  // namespace whence
