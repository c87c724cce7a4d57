#pragma once
// whence influence --paths: how far the estimates depend on the path that they are taken along.

#include <string>
#include <vector>

#include "whence/retrain/path_traces.h"
#include "whence/trace/estimates.h"

#include "job.h"

namespace whence {

/// How many paths, and whose.
struct PathPlan {
  std::int64_t count = 0;
  std::vector<std::vector<std::int64_t>> without;  ///< for each k, positions
};

/// --paths; UsageError naming it, or --memory where a path does not fit into that.
PathPlan plan_paths(const Options& options, const RecordedSteps& run,
                    const std::vector<std::int64_t>& epochs_back);

/// What a job of `ranks` that needs `step` seconds a step back on one rank and `retrained` a step of
/// retraining would take for them; `evaluation`: for all metrics once, on one rank.
double seconds_of_paths(const PathPlan& plan, const TraceBackOptions& trace, std::int64_t steps_per_epoch,
                        double step, double retrained, double evaluation, std::int64_t ranks);

/// What run_influence() has when the estimates are there.
struct PathJob {
  Run& run;
  const RecordedSteps& recorded;
  std::string formula;
  const std::vector<std::shared_ptr<const Metric>>& metrics;
  const TraceBackOptions& trace;
  const PathPlan& plan;
  std::int64_t memory;
  const Attributes& attributes;
  Unfinished unfinished;
  const StopSignals& signals;
};

/// Makes the traces, and once all are there fills path_tau and path_id of `estimates`, and each rank's part
/// of the spread. Where one cannot be made, `failure` says why there is no spread. Collective.
PathProgress find_spread(const PathJob& job, InfluenceEstimates& estimates, EstimateParts& parts,
                         const Log& log, const Communicator& world);

/// Deletes the traces, once the result has its name. By one rank.
void remove_traces(const Run& run);

/// "agreement between paths, ...: all 0.85 (k = 20)", or "".
std::string expected_in_words(const InfluenceEstimates& estimates, bool kinks);
/// The largest growth of |u| of each metric, and a warning where it is over the bound; or "".
std::string growth_in_words(const InfluenceEstimates& estimates, std::int64_t steps_per_epoch);

}  // namespace whence
