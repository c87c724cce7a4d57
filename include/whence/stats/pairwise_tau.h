#pragma once
// How well several lists agree with each other.

#include <vector>

namespace whence::stats {

/// Kendall's tau (rank_correlation.h) of two of the lists, on average over all pairs that have one; NaN where
/// none has: where lists have fewer than two values, or no order. Errors as there.
double mean_pairwise_tau(const std::vector<std::vector<double>>& lists);

}  // namespace whence::stats
