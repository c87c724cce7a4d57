#pragma once
// What recording costs: whole trainings with and without a trajectory.

#include <string>

#include "whence/comm/communicator.h"

namespace whence::bench {

/// Trains the published FCGAN `pairs` times with a TrajectoryWriter in `folder` and `pairs` times with an
/// observer that does nothing, in turn, and prints JSON: seconds of each (`recorded`, `bare`), `steps`,
/// `ranks`, `bytes` and the median `ratio` of the pairs. Collective.
void print_training_cost(const std::string& folder, std::int64_t epochs, std::int64_t pairs,
                         const std::string& engine, const Communicator& world);

}  // namespace whence::bench
