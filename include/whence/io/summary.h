#pragma once
// summary.json: what each job of a run folder cost.

#include <cstdint>
#include <string>

#include "whence/comm/communicator.h"

namespace whence {

/// One job's accounting.
struct JobCost {
  std::string job;
  double seconds;
  std::int64_t units;  ///< steps, replica-steps, ...
  std::string unit;    ///< what they are
  std::int64_t bytes;  ///< written
  /// False for a job that was interrupted: the next entry of the same job adds to this one.
  bool finished = true;
  /// Those of `seconds` that the units took, by which their rate is; all of them where it is less than 0.
  double unit_seconds = -1;
  /// The name of its result's file without the end, where a run folder may hold several of the job's: each
  /// has an entry of its own, called JOB, JOB-NAME or, of "groups", JOB-groups.
  std::string result = {};
};

/// The most memory that this process has had at once, in bytes.
double peak_memory();

/// Puts the entry of the job's result (with ranks, nodes and peak memory, gathered over ranks) into
/// FOLDER/summary.json. It replaces an earlier one, or, if that was interrupted, adds seconds, units and
/// bytes to it and counts one start more. Returns the entry as a line for the log (on rank 0; "" elsewhere).
/// Collective.
std::string record_cost(const std::string& folder, const JobCost& cost, const Communicator& ranks);

}  // namespace whence
