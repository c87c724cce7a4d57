#include "whence/stats/t_test.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

#include "whence/core/error.h"

namespace whence::stats {

Summary one_sample_t_test(const std::vector<double>& values, double expected_mean) {
  if (values.empty()) fail("one_sample_t_test: there are no values");
  if (!std::isfinite(expected_mean)) fail("one_sample_t_test: the expected mean is {}", expected_mean);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) fail("one_sample_t_test: values[{}] is {}", i, values[i]);

  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const double first = values.front();
  if (values.size() == 1) return {first, nan, nan};
  const auto n = static_cast<double>(values.size());
  // Asked of the values themselves: the computed mean of equal values need not equal them, which would leave
  // a tiny deviation and a meaningless p-value.
  const bool equal = std::all_of(values.begin(), values.end(), [first](double v) { return v == first; });
  const double mean = equal ? first : std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double std = std::sqrt(squares / (n - 1.0));
  if (!std::isfinite(std)) fail("one_sample_t_test: the variance of the values is too large for a double");
  if (std == 0.0) return {mean, std, mean == expected_mean ? 1.0 : 0.0};

  const double t = (mean - expected_mean) / (std / std::sqrt(n));
  const boost::math::students_t_distribution<double> distribution(n - 1.0);
  return {mean, std, 2.0 * boost::math::cdf(boost::math::complement(distribution, std::abs(t)))};
}

}  // namespace whence::stats
