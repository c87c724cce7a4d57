#pragma once
// How far estimates depend on the path that they are taken along.
//
// An estimate is the derivative of V by w_j along the recorded run. Where training is not linear in w_j it is
// another one along the path that training takes without some instance, with grad V at that path's end; so
// the spread of an instance's estimates over a few such paths says how wrong any of them may be. A path is
// traced as the recorded one is (every instance present), but without counted crossings: jumps at kinks are
// about the same along all paths, and not seen by this.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/core/progress.h"
#include "whence/core/stop.h"
#include "whence/io/block_store.h"
#include "whence/metric/metric.h"
#include "whence/trace/trace_back.h"

namespace whence {

inline const Schema path_blocks_schema{"whence.path_blocks", 1};

/// Traces along the recorded path and, for each k of `trace.epochs_back`, along n retrained ones. All of it
/// outlives the work.
struct PathWork {
  const RecordedSteps& run;  ///< of which any rank may ask for states alone, backwards
  std::function<RecordedSteps(const RecordedSteps&)> as_traced;  ///< as_plain_steps, or the same steps
  const std::vector<std::shared_ptr<const Metric>>& metrics;
  const TraceBackOptions& trace;                          ///< of the estimates
  const std::vector<std::vector<std::int64_t>>& without;  ///< instances_of_paths()
  std::int64_t memory;                                    ///< bytes a rank for the states of a path
  std::string result;                                     ///< the file that this works towards
  Attributes attributes;
  Unfinished unfinished;
  BlockStore& store;  ///< path_rows() rows of path_row_width() numbers
  const StopSignals& signals;
};

/// Row p K + k, path p from 0 (the recorded one) to n: its influences [widths, metrics, N].
std::int64_t path_rows(std::int64_t paths, const TraceBackOptions& trace);
std::int64_t path_row_width(const TraceBackOptions& trace, std::int64_t metrics, std::int64_t instances);

struct PathProgress {
  std::int64_t steps;        ///< retrained and traced this time, by all ranks together
  std::int64_t done, total;  ///< traces
  std::string failure = {};  ///< where a number of a path or its trace is not finite: which; no trace is
                             ///< missed then, for there is no spread
};

/// Makes those that are not in the store. A trace is one rank's, which draws it from a shared counter, so
/// that it has the same bits on any number of ranks. `recorded_path`: those along the recorded path [widths,
/// metrics, K, N], where this rank has them already; else undefined. A trace in hand when a signal comes is
/// saved where it is (a path in hand is not, and is retrained again). A path along which something is not
/// finite is no error: that is the progress's `failure`, the same on every rank. Collective.
PathProgress trace_paths(const PathWork& work, const at::Tensor& recorded_path, const Log& log,
                         const Communicator& ranks);

/// Of the influences [n + 1, N] along each path: the standard deviation [N] over the paths (divided by n).
at::Tensor spread_of(const at::Tensor& traces);

}  // namespace whence
