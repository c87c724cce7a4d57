#pragma once
// The ground truth: the recorded steps again without some instances.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/metric/metric.h"
#include "whence/trace/trace_back.h"
#include "whence/train/finite_watch.h"

namespace whence {

/// Replicas that are retrained together: one without removal, and one for each removal set.
struct CounterfactualBlock {
  std::int64_t epochs_back;            ///< k: the last k epochs are taken again
  std::int64_t first_step;             ///< where it starts (RetrainingStarts)
  std::vector<std::int64_t> removals;  ///< which removal sets, as positions in the list
};

/// What a block found.
struct CounterfactualResult {
  at::Tensor change;    ///< [removals, metrics] float64: V without the set minus V of the no-removal replica
  at::Tensor baseline;  ///< [metrics] float64: V of the no-removal replica
  double distance;      ///< largest |theta of the no-removal replica - recorded theta| at the end
};

/// Where the retrainings of some removal sets start.
struct RetrainingStarts {
  std::int64_t steps;                     ///< T
  std::vector<std::int64_t> epochs_back;  ///< every k
  /// Of each k and set the step, T where all that start together change nothing.
  std::vector<std::vector<std::int64_t>> start;
};

/// `together` sets, those that first matter at about the same step, start from one recorded state, before the
/// first step that one of them changes. Where a replay does not meet the recorded bits that state decides
/// how a result is rounded, so it depends on nothing but the arguments: not on ranks, not on blocks.
RetrainingStarts starts_of(const RecordedSteps& run, const std::vector<std::vector<std::int64_t>>& removals,
                           const std::vector<std::int64_t>& epochs_back, std::int64_t together);

/// Cuts (k, removal sets) into blocks of at most `replicas` sets of one start; longest blocks first.
std::vector<CounterfactualBlock> plan_counterfactuals(const RetrainingStarts& starts, std::int64_t replicas);

/// A block under way, step by step, for callers that may have to leave it and come back: the block's steps
/// again from the recorded theta (counterfactual ASGD, Terashita et al., section 3.1): same batches, latents,
/// rates and divisor, w_j = `weight` (0: gone) for removed instances; row 0 is the replica without removal.
/// By one rank alone; a replica's result does not depend on the others, bit for bit. The arguments outlive
/// the object.
class Retraining {
 public:
  Retraining(const RecordedSteps& run, const CounterfactualBlock& block,
             const std::vector<std::vector<std::int64_t>>& removals, double weight = 0);
  Retraining(const Retraining&) = delete;
  Retraining& operator=(const Retraining&) = delete;

  bool done() const { return step_ == run_.steps; }
  /// The next step t to take, and the optimisers' states [1 + removals, state_size] before it.
  std::int64_t step() const { return step_; }
  std::int64_t last_step() const { return run_.steps; }
  const at::Tensor& state() const { return state_; }
  std::int64_t replicas() const { return state_.size(0); }
  /// The models [1 + removals, P] (see Optimiser::model_part), a view of the states.
  at::Tensor params() const;

  /// Takes the next step. Error naming step, player and removal set when a gradient is not finite (see
  /// FiniteWatch; the last step's at the latest).
  void advance();
  /// Goes on before step t with the states as they were there: to the same bits.
  void restore(std::int64_t t, const at::Tensor& state);

  /// Each metric's value [metrics, 1 + removals] float64 of the replicas; Error naming metric and removal set
  /// when one is not finite.
  at::Tensor metric_values(const std::vector<std::shared_ptr<const Metric>>& metrics) const;
  /// What the block found, once done.
  CounterfactualResult result(const std::vector<std::shared_ptr<const Metric>>& metrics) const;

 private:
  std::string name_of(std::int64_t replica) const;

  const RecordedSteps& run_;
  const CounterfactualBlock& block_;
  const std::vector<std::vector<std::int64_t>>& removals_;
  double weight_;
  std::unordered_map<std::int64_t, std::vector<std::int64_t>> absent_;  // position -> replicas that lack it
  std::int64_t step_;
  at::Tensor state_;
  FiniteWatch gradients_;
};

/// A whole block: Retraining to its end, and its result. `between_steps` is called after each step.
CounterfactualResult retrain(const RecordedSteps& run, const CounterfactualBlock& block,
                             const std::vector<std::vector<std::int64_t>>& removals,
                             const std::vector<std::shared_ptr<const Metric>>& metrics,
                             const std::function<void()>& between_steps);

}  // namespace whence
