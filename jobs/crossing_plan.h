#pragma once
// For which k `whence influence` counts kink crossings.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/trace/trace_back.h"

namespace whence {

struct CrossingPlan {
  std::vector<std::int64_t> counted;  ///< of TraceBackOptions::counted
  std::string sentence;               ///< what is done, and why not more
};

/// --crossings: `off` none, `on` every k, `auto` of games of two players those up to `most_passes_counted`
/// where it can be done and what is kept of each use of an instance fits into `memory` bytes a rank.
/// UsageError naming --crossings for another value, and where `on` cannot be done.
CrossingPlan plan_crossings(const std::string& option, const RecordedSteps& run,
                            const TraceBackOptions& options, const std::string& formula, std::int64_t memory,
                            std::int64_t ranks);

/// "crossings an instance: 3.2 (k = 1), 12 (k = 5)", or "".
std::string crossings_in_words(const std::vector<std::int64_t>& counted, const std::vector<double>& each);

/// Ten passes over the data back counting gained nothing over the kink width (tests/results/README.md), and
/// what it costs grows with their square.
inline constexpr double most_passes_counted = 5;

}  // namespace whence
