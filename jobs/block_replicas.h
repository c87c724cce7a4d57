#pragma once
// How the jobs that retrain cut their work into blocks.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "whence/retrain/counterfactual.h"

#include "job.h"

namespace whence {

/// Adds --replicas. On CPUs no number up to BlockSizing::largest, nor `auto`, changes a bit of a result.
OptionTable& add_replicas_option(OptionTable& table, const char* what);

struct BlockSizing {
  const Run& run;
  const std::vector<std::vector<std::int64_t>>& removals;
  std::vector<std::int64_t> epochs_back;
  std::int64_t largest;                             ///< of `auto`; so many sets start together
  std::string result;                               ///< whose NAME.part may have been begun
  std::function<std::int64_t(std::int64_t)> width;  ///< of a row of NAME.part, from the number of replicas
};

struct BlockPlan {
  std::int64_t replicas;  ///< removal sets of a block, at most
  std::vector<CounterfactualBlock> blocks;
};

/// The blocks of a job. They hold as many replicas as those that an earlier start has begun; else what
/// --replicas says. `auto` is the size with which all ranks are done first, of at most `largest` and of what
/// fits into half of a rank's share of its node's memory; on other devices than the CPU as if there were one
/// rank. Collective, the same on every rank; UsageError naming --replicas.
BlockPlan plan_blocks(const Options& options, const BlockSizing& sizing, const Communicator& world);

}  // namespace whence
