#pragma once
// Training again without one instance, kept so that it can be traced back like the recorded run.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/train/finite_watch.h"
#include "whence/train/recorded_steps.h"

namespace whence {

/// For each k, positions of `count` different instances that the last k epochs use, at random from a stream
/// of their own: those for one k do not depend on the others. UsageError naming --paths where there are
/// fewer.
std::vector<std::vector<std::int64_t>> instances_of_paths(const RecordedSteps& run, std::int64_t count,
                                                          const std::vector<std::int64_t>& epochs_back);

/// The recorded steps, from the first use of an instance in the last `epochs_back` epochs on, again with w =
/// 0 for it (counterfactual.h). By one rank; `run` outlives it.
class RetrainedPath {
 public:
  /// Keeps its states in at most `memory` bytes (path_needs).
  RetrainedPath(const RecordedSteps& run, std::int64_t without, std::int64_t epochs_back,
                std::int64_t memory);
  RetrainedPath(const RetrainedPath&) = delete;
  RetrainedPath& operator=(const RetrainedPath&) = delete;

  bool done() const { return step_ == run_.steps; }
  /// Takes the next step. Error naming step, player and instance when a gradient is not finite.
  void advance();

  /// Once done: the run along this path, which has to outlive it, to be asked for states backwards. Those up
  /// to the first use are the recorded ones.
  RecordedSteps run() const;

 private:
  at::Tensor state(std::int64_t t) const;
  at::Tensor after(const at::Tensor& state, std::int64_t t, at::Tensor& gradient) const;

  const RecordedSteps& run_;
  std::int64_t without_, first_, step_, stride_;
  at::Tensor end_;                // the state [S] before step_
  std::vector<at::Tensor> kept_;  // those before first_, first_ + stride_, ...
  FiniteWatch gradients_;
  // Of the stretch between two kept states that was asked for last: those after its first.
  mutable std::int64_t stretch_ = -1;
  mutable std::vector<at::Tensor> again_;
};

/// Of a path of so many steps: one state in `stride` is kept, and those of a stretch as they are asked for
/// again, for which, with a stride over 1, each step is taken twice; `states` in memory at once. The least
/// stride that fits into `memory` bytes; UsageError naming --memory where none does.
struct PathNeeds {
  std::int64_t stride, states;
};
PathNeeds path_needs(std::int64_t steps, std::int64_t state_bytes, std::int64_t memory);

/// UsageError naming --memory where the path without one of these instances (instances_of_paths) does not
/// fit into `memory` bytes.
void check_paths_fit(const RecordedSteps& run, const std::vector<std::vector<std::int64_t>>& without,
                     const std::vector<std::int64_t>& epochs_back, std::int64_t memory);

}  // namespace whence
