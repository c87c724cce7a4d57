#pragma once
// What optimisers cost beside the steps they take.

#include <cstdint>

namespace whence::bench {

/// Prints, for the published FCGAN and DCGAN with 8 channels (both float64), native engine, mini-batch
/// 100, one thread: milliseconds of a training step and of a step of trace-back of one query, mini-batch and
/// latents included, with each optimiser, and their ratios to plain SGD's. All take turns; the smallest of
/// `turns` CPU times counts.
void print_optimiser_ratios(std::int64_t turns);

}  // namespace whence::bench
