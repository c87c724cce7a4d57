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
  if (!std::isfinite(expected_mean)) fail("one_sample_t_test: the expected mean is {}", expected_mean);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) fail("one_sample_t_test: values[{}] is {}", i, values[i]);

  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double rounding = 1e-14;
  if (values.empty()) return {nan, nan, nan};
  const double first = values.front();
  if (values.size() == 1) return {first, nan, nan};
  const auto n = static_cast<double>(values.size());
  // Relative to the largest, so that neither the sum nor the squares overflow.
  const auto larger = [](double a, double b) { return std::abs(a) < std::abs(b); };
  const double scale = std::abs(*std::max_element(values.begin(), values.end(), larger));
  // Asked of the values themselves: the computed mean of equal values need not equal them.
  if (std::all_of(values.begin(), values.end(), [first](double v) { return v == first; }))
    return {first, 0.0, nan};
  double mean = 0.0, squares = 0.0;
  for (const double value : values) mean += value / scale / n;
  for (const double value : values) squares += (value / scale - mean) * (value / scale - mean);
  const double std = std::sqrt(squares / (n - 1.0));
  if (values.size() < 3 || std <= rounding) return {scale * mean, scale * std, nan};

  const double t = (mean - expected_mean / scale) / (std / std::sqrt(n));
  if (!std::isfinite(t)) return {scale * mean, scale * std, nan};
  const boost::math::students_t_distribution<double> distribution(n - 1.0);
  return {scale * mean, scale * std,
          2.0 * boost::math::cdf(boost::math::complement(distribution, std::abs(t)))};
}

}  // namespace whence::stats
