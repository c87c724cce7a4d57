#pragma once
// Blocks of retraining shared out over ranks, each finished once, in a way that may be left and gone on with.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/core/progress.h"
#include "whence/core/stop.h"
#include "whence/io/block_store.h"
#include "whence/retrain/begun_blocks.h"
#include "whence/retrain/counterfactual.h"

namespace whence {

/// What is to be retrained, and where its results go. All of it outlives the work.
struct BlockWork {
  const RecordedSteps& run;
  const std::vector<CounterfactualBlock>& blocks;
  const std::vector<std::vector<std::int64_t>>& removals;
  BlockStore& store;         ///< row b: what block b found
  const BegunBlocks& begun;  ///< blocks that were left between two steps
  const StopSignals& signals;
  std::string label;  ///< of the progress line, e.g. "blocks of counterfactuals"
  std::function<at::Tensor(const Retraining&)> row;  ///< a finished block as a row of the store
  double weight = 0;                                 ///< w_j of removed instances
};

/// What was done this time, by all ranks together.
struct BlockProgress {
  std::int64_t finished, replica_steps;
  double step_seconds;  ///< those of the steps alone, on the rank that took most
  bool complete;        ///< no block is left
};

/// Draws blocks from a shared counter until none is left or a rank is asked to stop; a block in hand is then
/// put into `begun`. Collective.
BlockProgress retrain_blocks(const BlockWork& work, const Log& log, const Communicator& ranks);

}  // namespace whence
