#include "whence/stats/jaccard.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "whence/core/error.h"

namespace whence::stats {
namespace {

void check_finite(const char* name, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) fail("jaccard_critical: {}[{}] is {}", name, i, values[i]);
}

std::vector<bool> critical_set(const std::vector<double>& values, std::size_t extremes) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<bool> critical(values.size(), false);
  for (std::size_t i = 0; i < extremes; ++i) {
    critical[order[i]] = true;
    critical[order[order.size() - 1 - i]] = true;
  }
  return critical;
}

}  // namespace

double jaccard_critical(const std::vector<double>& truth, const std::vector<double>& estimate,
                        std::size_t extremes) {
  const std::size_t n = truth.size();
  if (estimate.size() != n)
    fail("jaccard_critical: truth has {} values but estimate has {}", n, estimate.size());
  if (extremes == 0) fail("jaccard_critical: needs at least 1 extreme value at each end");
  if (extremes > n / 2)
    fail("jaccard_critical: {} values have no {} smallest and {} largest", n, extremes, extremes);
  check_finite("truth", truth);
  check_finite("estimate", estimate);

  const std::vector<bool> a = critical_set(truth, extremes);
  const std::vector<bool> b = critical_set(estimate, extremes);
  std::size_t shared = 0;
  for (std::size_t i = 0; i < n; ++i) shared += a[i] && b[i] ? 1 : 0;
  return static_cast<double>(shared) / static_cast<double>(4 * extremes - shared);
}

double jaccard_by_chance(std::size_t n, std::size_t m) {
  if (m == 0 || m > n) fail("jaccard_by_chance: there is no Jaccard index of {}-subsets of {} items", m, n);
  const std::size_t least = m > n - m ? m - (n - m) : 0;
  const auto real = [](std::size_t value) { return static_cast<double>(value); };
  // log C(m, k) C(n - m, m - k) from one overlap to the next. Summing these small logarithms keeps digits
  // that differences of log-factorials of n would lose.
  const auto log_step = [&](std::size_t k) {
    return 2.0 * std::log(real(m - k)) - std::log(real(k + 1)) - std::log(real(n - m - (m - k) + 1));
  };
  std::vector<double> log_weight{0.0};
  for (std::size_t k = least; k < m; ++k) log_weight.push_back(log_weight.back() + log_step(k));

  // Weights relative to the largest, which therefore cannot overflow; they are normalised by their own sum.
  const double largest = *std::max_element(log_weight.begin(), log_weight.end());
  double expected = 0.0;
  double total = 0.0;
  for (std::size_t k = least; k <= m; ++k) {
    const double weight = std::exp(log_weight[k - least] - largest);
    expected += weight * real(k) / real(2 * m - k);
    total += weight;
  }
  return expected / total;
}

}  // namespace whence::stats
