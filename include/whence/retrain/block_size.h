#pragma once
// How many retrainings a block holds.

#include <cstdint>
#include <vector>

#include "whence/retrain/counterfactual.h"

namespace whence {

/// Replica-steps of the rank that has most, when `ranks` draw these blocks of a run of `steps` steps one
/// after another as they become free, and a replica's step takes as long in every block. A block has one
/// replica more than removals.
std::int64_t longest_share(const std::vector<CounterfactualBlock>& blocks, std::int64_t steps,
                           std::int64_t ranks);

/// The number of removals a block, 1 .. `largest`, with the least longest_share(); of several the largest.
std::int64_t best_block_size(const RetrainingStarts& starts, std::int64_t largest, std::int64_t ranks);

}  // namespace whence
