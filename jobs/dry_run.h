#pragma once
// What --dry-run says: what a job would need, so that memory and time of a batch script can be read off it.
//
// Memory and time are estimates. Memory starts from what this process has had so far: the libraries, the data
// and a few real pieces of the job's work, taken on the way and thrown away; what only a whole job has is
// added by its size. Time extrapolates from those pieces, on as many ranks of this machine as there are now.

#include <cstdint>
#include <functional>
#include <string>

#include "whence/density/influence.h"
#include "whence/retrain/retrain_blocks.h"
#include "whence/trace/trace_back.h"
#include "whence/tracin/tracin.h"

#include "influence_paths.h"
#include "job.h"

namespace whence {

struct Needs {
  std::string job, work;    ///< "train", "8000 steps of 5696 parameters"
  double memory = 0;        ///< bytes of the rank that needs most, on top of its peak so far
  double disk = 0;          ///< bytes
  std::string folder = {};  ///< where they are written
  double seconds = 0;
  std::string advice = {};  ///< where the disk has not got the room: the option that helps
  double traffic = 0;       ///< bytes a step that a rank sums up with others
};

/// Prints the needs. Collective.
void say(const Needs& needs, const Communicator& world);

/// Seconds a unit of work(count), which does so many, on the slowest rank: from about a third of a second of
/// it, but at least one unit and one to warm up. Collective, as `work` may be.
double seconds_each(const std::function<void(std::int64_t count)>& work, const Communicator& world);

Needs needs_of_training(const RunParts& parts, const std::string& folder, const Communicator& world);

/// For the queries of these metrics, with at most `memory` bytes for replayed states and the same for those
/// of a retrained path.
Needs needs_of_tracing_back(const Run& run, const std::vector<std::shared_ptr<const Metric>>& metrics,
                            const TraceBackOptions& options, const PathPlan& paths, std::int64_t memory,
                            const Communicator& world);

/// For blocks whose results are rows of so many numbers; `row` makes one of a finished block.
Needs needs_of_retraining(const std::string& job, const Run& run,
                          const std::vector<CounterfactualBlock>& blocks,
                          const std::vector<std::vector<std::int64_t>>& removals, std::int64_t row_numbers,
                          const std::function<at::Tensor(const Retraining&)>& row, const Communicator& world);

/// From the first two blocks.
Needs needs_of_tracin(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                      const TracinPlan& plan, const Communicator& world);

/// From the tables of a few queries.
Needs needs_of_density(const Dataset& train, const density::Queries& queries,
                       const density::EstimatorOptions& estimators, const std::string& folder,
                       const Communicator& world);

}  // namespace whence
