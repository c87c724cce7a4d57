#pragma once
// Benchmarks of single steps: training, trace, counterfactual replicas.

#include "setting.h"

namespace whence::bench {

/// Error unless Engine::trace and trace_one_by_one give the same numbers to 1e-10, for all numbers of queries
/// and kink widths that are measured; the largest relative difference.
double check_same_numbers(const TrainedEpoch& epoch);

/// Registers them with Google Benchmark; `epoch` must outlive their run. The counter `units` says how many
/// steps (or replica-steps) one iteration takes.
void register_steps(const TrainedEpoch& epoch);

}  // namespace whence::bench
