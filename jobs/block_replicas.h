#pragma once
// How the jobs that retrain cut their work into blocks.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "whence/io/artifact.h"
#include "whence/retrain/counterfactual.h"

#include "job.h"

namespace whence {

/// Adds --replicas. On CPUs no number up to `largest`, nor `auto`, changes a bit of a result.
OptionTable& add_replicas_option(OptionTable& table, const char* what, std::int64_t largest);
/// What it says; none: auto. UsageError naming the option.
std::optional<std::int64_t> asked_replicas(const Options& options);

struct BlockSizing {
  const Run& run;
  const std::vector<std::vector<std::int64_t>>& removals;
  std::vector<std::int64_t> epochs_back;
  std::optional<std::int64_t> asked;
  std::int64_t largest;  ///< of `auto`; so many sets start together
  std::string result;    ///< whose NAME.part may have been begun
  const Schema& schema;  ///< of NAME.part
  Attributes attributes;
};

struct BlockPlan {
  std::int64_t replicas;  ///< removal sets of a block, at most
  std::vector<CounterfactualBlock> blocks;
  Attributes of_store;  ///< attributes of NAME.part: those given and the number of replicas
};

/// The blocks of a job. `auto` goes on with the size that an earlier start of the same job has begun. Else it
/// is the one with which all ranks are done first, of at most `largest` and of what fits into half of a
/// rank's share of its node's memory; on other devices than the CPU as if there were one rank, and without
/// asking what fits. Collective, the same on every rank.
BlockPlan plan_blocks(const BlockSizing& sizing, const Communicator& world);

}  // namespace whence
