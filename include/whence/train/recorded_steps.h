#pragma once
// The steps of a recorded run, one by one.

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/game/engine.h"
#include "whence/optimise/optimiser.h"
#include "whence/train/run.h"

namespace whence {

/// What trace-back and retraining walk through: read access to a recorded run, by step.
struct RecordedSteps {
  const Game& game;
  const Engine& engine;
  const Dataset& data;
  std::uint64_t seed;
  std::int64_t steps, steps_per_epoch;
  std::function<at::Tensor(std::int64_t)> state;  ///< the optimiser's before step t, theta [P] first
  std::function<at::Tensor(std::int64_t)> batch;  ///< positions [|S|] of step t
  std::function<Moves(std::int64_t)> moves;       ///< of step t
  const Optimiser& optimiser;
  std::function<void(std::int64_t)> expect = {};  ///< hears which step's state will be asked for next
};

/// The recorded steps of a run folder.
RecordedSteps recorded_steps_of(const Run& run);

/// For each position in the training set, the first step from `begin` on that uses it; run.steps if none
/// does.
std::vector<std::int64_t> first_uses(const RecordedSteps& run, std::int64_t begin);

/// The first of `order` (positions), `most` of them or fewer, that are used from step `begin` on.
std::vector<std::int64_t> used_from(const RecordedSteps& run, std::int64_t begin,
                                    const std::vector<std::int64_t>& order, std::int64_t most);

/// Step t's whole mini-batch.
Batch batch_of_step(const RecordedSteps& run, std::int64_t t);

/// Takes the recorded step t again, in place, from states [R, S] with weights [R, |S|] (float64, on the CPU):
/// same batch, latents, rates and divisor. Returns g [R, P].
at::Tensor take_again(const RecordedSteps& run, at::Tensor& state, std::int64_t t, const at::Tensor& weights);

/// The same theta, mini-batches and rates, as if each step had been theta' = theta - B g: what a trace-back
/// that knows no optimiser makes of a run. The run's optimiser has to outlive it.
RecordedSteps as_plain_steps(const RecordedSteps& run);

}  // namespace whence
