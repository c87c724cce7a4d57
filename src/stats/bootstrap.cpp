#include "whence/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence::stats {
namespace {

constexpr std::size_t resamples = 2000;

// Between the sorted values at the quantile, as NumPy's default has it.
double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Interval bootstrap_mean(const std::vector<double>& values, double level, std::uint64_t seed) {
  if (values.empty()) fail("a bootstrap of no values");
  for (const double value : values)
    if (!std::isfinite(value)) fail("a bootstrap of {}", value);
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  const RandomStream stream(seed, Purpose::bootstrap);
  std::vector<double> means(resamples, 0.0);
  for (std::size_t r = 0; r < resamples; ++r) {
    for (std::size_t i = 0; i < values.size(); ++i)
      means[r] += values[static_cast<std::size_t>(stream.uniform(r * values.size() + i) * count)];
    means[r] /= count;
  }
  std::sort(means.begin(), means.end());
  return {mean, quantile(means, (1 - level) / 2), quantile(means, (1 + level) / 2)};
}

}  // namespace whence::stats
