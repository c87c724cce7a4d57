#pragma once
// Mean, spread and significance of a few repeated measurements.

#include <vector>

namespace whence::stats {

/// Each is NaN where it is not defined.
struct Summary {
  double mean;
  double std;  ///< sample standard deviation (divisor n - 1), of at least 2 values
  double p;    ///< two-sided p-value
};

/// Student's t-test of the hypothesis that `values` come from a normal distribution with mean
/// `expected_mean`. Fewer than 3 values, or values that are equal (but for the rounding of a double), are no
/// sample to test: their p is NaN. Throws Error when one of the values (the message names its index) or
/// `expected_mean` is a NaN or an infinity.
Summary one_sample_t_test(const std::vector<double>& values, double expected_mean);

}  // namespace whence::stats
