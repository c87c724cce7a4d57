#pragma once
// Mean, spread and significance of a few repeated measurements.

#include <vector>

namespace whence::stats {

struct Summary {
  double mean;
  double std;  ///< sample standard deviation (divisor n - 1)
  double p;    ///< two-sided p-value
};

/// Student's t-test of the hypothesis that `values` come from a normal distribution with mean
/// `expected_mean`. With one value `std` and `p` are NaN. Values that are all equal have std = 0, and p = 1
/// if their mean is `expected_mean`, otherwise 0 (SciPy gives NaN and 0). Throws Error when there are no
/// values, or when one of them (the message names its index) or `expected_mean` is a NaN or an infinity, or
/// when the variance overflows.
Summary one_sample_t_test(const std::vector<double>& values, double expected_mean);

}  // namespace whence::stats
