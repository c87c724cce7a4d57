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
};

/// Puts the job's entry (with ranks, nodes and peak memory, gathered over ranks) into FOLDER/summary.json,
/// replacing an earlier one. Collective.
void record_cost(const std::string& folder, const JobCost& cost, const Communicator& ranks);

}  // namespace whence
