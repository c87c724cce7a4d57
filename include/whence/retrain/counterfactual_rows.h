#pragma once
// Results of counterfactual blocks as rows of a BlockStore, and the rows put together again.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/retrain/counterfactual.h"
#include "whence/retrain/truth.h"

namespace whence {

/// Numbers in a row for blocks of at most `replicas` removal sets.
std::int64_t row_width(std::int64_t replicas, std::int64_t metrics);

/// A block's result as a row [width] float64: distance, baseline [M], change [sets, M]; unused ends are 0.
at::Tensor as_row(const CounterfactualResult& result, std::int64_t width);

/// Fills influence, baseline and distance of `values` (metrics and horizons are set) for so many removal sets
/// from all blocks' rows [blocks, width].
void assemble(RetrainedValues& values, std::int64_t sets, const std::vector<CounterfactualBlock>& blocks,
              const at::Tensor& rows);

}  // namespace whence
