#pragma once
// The ground truth: the recorded steps again without some instances.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/influence/trace_back.h"
#include "whence/metric/metric.h"

namespace whence {

/// Replicas that are retrained together: one without removal, and one for each removal set.
struct CounterfactualBlock {
  std::int64_t epochs_back;            ///< k: the last k epochs are taken again
  std::int64_t first_step;             ///< the first step that a removal changes; T if none does
  std::vector<std::int64_t> removals;  ///< which removal sets, as positions in the list
};

/// What a block found.
struct CounterfactualResult {
  at::Tensor change;    ///< [removals, metrics] float64: V without the set minus V of the no-removal replica
  at::Tensor baseline;  ///< [metrics] float64: V of the no-removal replica
  double distance;      ///< largest |theta of the no-removal replica - recorded theta| at the end
};

/// Cuts (k, removal sets) into blocks of at most `replicas` sets. Sets that first matter at about the same
/// step share a block, so that a block starts as late as possible; longest blocks first. Depends on nothing
/// but its arguments: any number of ranks works on the same blocks.
std::vector<CounterfactualBlock> plan_counterfactuals(const RecordedSteps& run,
                                                      const std::vector<std::vector<std::int64_t>>& removals,
                                                      const std::vector<std::int64_t>& epochs_back,
                                                      std::int64_t replicas);

/// The optimisers' states [1 + removals, state_size] at the end of the run when the block's steps are taken
/// again from the recorded theta (counterfactual ASGD, Terashita et al.,
/// section 3.1): same batches, latents, rates and divisor, w_j = 0 for removed instances; row 0 is the
/// replica without removal. By this rank alone; a replica's result does not depend on the others, bit for
/// bit. Error naming step, player and removal set when a gradient is not finite. `between_steps` is called
/// after each step.
at::Tensor retrained_states(const RecordedSteps& run, const CounterfactualBlock& block,
                            const std::vector<std::vector<std::int64_t>>& removals,
                            const std::function<void()>& between_steps);

/// Each metric's value [metrics, 1 + removals] float64 of the block's replicas with `params` [1 + removals,
/// P]; Error naming metric and removal set when one is not finite.
at::Tensor judged(const at::Tensor& params, const std::vector<std::shared_ptr<const Metric>>& metrics,
                  const RecordedSteps& run, const CounterfactualBlock& block,
                  const std::vector<std::vector<std::int64_t>>& removals);

/// retrained_states, judged, as changes against the replica without removal.
CounterfactualResult retrain(const RecordedSteps& run, const CounterfactualBlock& block,
                             const std::vector<std::vector<std::int64_t>>& removals,
                             const std::vector<std::shared_ptr<const Metric>>& metrics,
                             const std::function<void()>& between_steps);

}  // namespace whence
