#pragma once
// How sure a mean is.

#include <cstdint>
#include <vector>

namespace whence::stats {

/// A mean with the bounds of its interval.
struct Interval {
  double mean, low, high;
};

/// The mean of `values` with the percentile bootstrap interval of `level` (0.95) over 2,000 resamples (B.
/// Efron, "Bootstrap methods", Annals of Statistics 7, 1979), the same for the same values and seed. Of one
/// value, or where all are equal, the bounds are the mean. Error where there are none, or one is not finite.
Interval bootstrap_mean(const std::vector<double>& values, double level = 0.95, std::uint64_t seed = 0);

}  // namespace whence::stats
