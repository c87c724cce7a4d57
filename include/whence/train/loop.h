#pragma once
// Training: the step, forwards.

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/data/dataset.h"
#include "whence/game/engine.h"
#include "whence/optimise/optimiser.h"
#include "whence/train/schedule.h"

namespace whence {

/// What training needs, all of it const.
struct Training {
  const Game& game;
  const Engine& engine;
  const Dataset& data;
  const Schedule& schedule;
  const Optimiser& optimiser;
  std::uint64_t seed;
};

/// Sees step t just before it is taken: the optimiser's state (theta [P] first), positions [|S|], rates
/// [players].
using StepObserver = std::function<void(std::int64_t t, const at::Tensor& state, const at::Tensor& positions,
                                        const at::Tensor& rates)>;

/// Steps that were taken before, with numbers known to be finite, need not be looked at again, nor waited for
/// at the end.
enum class Watch { on, off };

/// Takes steps first .. last-1 from the optimiser's state (for sgd theta [P] itself) and returns it
/// at `last`. The mini-batch is split over `ranks` (real and latent halves alike), with one all-reduce of g a
/// step. Error naming step and player when a gradient is not finite.
at::Tensor train(const Training& training, at::Tensor state, std::int64_t first, std::int64_t last,
                 const Communicator& ranks, const StepObserver& observe, Watch watch = Watch::on);

}  // namespace whence
