#pragma once
// For which k `whence influence` counts kink crossings.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/comm/stop_vote.h"
#include "whence/core/progress.h"
#include "whence/io/artifact.h"
#include "whence/trace/trace_back.h"

namespace whence {

struct CrossingPlan {
  std::vector<std::int64_t> counted, carried;  ///< of TraceBackOptions
  std::string sentence;                        ///< what is done, and why not more
};

/// --crossings: `off` none, `on` every k, `auto` of games of two players those up to `most_passes_carried`
/// (or `most_passes_frozen`, where moves cannot be carried) where it can be done and what is kept of each use
/// of an instance fits into `memory` bytes a rank. Moves are carried where that can be done and fits: by `on`
/// for every k, by `auto` beyond one pass over the data, up to which frozen moves cost far less and do nearly
/// as well. UsageError naming --crossings for another value, and where `on` cannot be done.
CrossingPlan plan_crossings(const std::string& option, const RecordedSteps& run,
                            const TraceBackOptions& options, const std::string& formula, std::int64_t memory,
                            std::int64_t ranks);

/// Puts it into the options of the trace, and into what the file of estimates says.
void follow(const CrossingPlan& plan, TraceBackOptions& options, Attributes& attributes);

/// How many steps moves were carried over, and how many it takes.
struct CarryProgress {
  std::int64_t done, total;
};

/// Has the sweep look back at the run before its first step, and says how far it is, until a signal comes.
/// Collective.
CarryProgress look_back(TraceBack& sweep, const RecordedSteps& run, const TraceBackOptions& options,
                        StopVote& vote, const Log& log);

/// The sentence of a job that was stopped before they were carried.
std::string carrying_stopped_at(const std::string& folder, const CarryProgress& carried);

/// "crossings an instance: 3.2 (k = 1), 12 (k = 5)", which the attributes get, too; or "".
std::string note_crossings(const std::vector<std::int64_t>& counted, const std::vector<double>& each,
                           Attributes& attributes);

/// How many passes over the data back `auto` counts with moves of either kind (tests/results/normal2d.md):
/// what it costs grows with their number, or its square.
inline constexpr double most_passes_frozen = 5, most_passes_carried = 10;

}  // namespace whence
