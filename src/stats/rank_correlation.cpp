#include "whence/stats/rank_correlation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>

#include "whence/core/error.h"

namespace whence::stats {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void check(const char* what, const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() != y.size()) fail("{}: x has {} values but y has {}", what, x.size(), y.size());
  if (x.size() < 2) fail("{}: needs at least 2 values, got {}", what, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) fail("{}: x[{}] is {}", what, i, x[i]);
    if (!std::isfinite(y[i])) fail("{}: y[{}] is {}", what, i, y[i]);
  }
}

std::vector<std::size_t> indices(std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

// What the runs of t equal values contribute to tau-b and to its variance.
struct Ties {
  std::int64_t pairs = 0;  // sum of t (t - 1) / 2
  double triples = 0;      // sum of t (t - 1) (t - 2)
  double spread = 0;       // sum of t (t - 1) (2 t + 5)
};

// `same(i)`: whether items i - 1 and i of the sorted list are equal.
template <typename Same>
Ties count_ties(std::size_t n, Same same) {
  Ties ties;
  for (std::size_t first = 0, last = 1; first < n; first = last++) {
    while (last < n && same(last)) ++last;
    const auto t = static_cast<std::int64_t>(last - first);
    const auto pairs = static_cast<double>(t * (t - 1));
    ties.pairs += t * (t - 1) / 2;
    ties.triples += pairs * static_cast<double>(t - 2);
    ties.spread += pairs * static_cast<double>(2 * t + 5);
  }
  return ties;
}

// Sorts y and returns how many pairs were strictly out of order (bottom-up merge sort).
std::int64_t sort_counting_inversions(std::vector<double>& y) {
  const std::size_t n = y.size();
  std::vector<double> merged(n);
  std::int64_t inversions = 0;
  for (std::size_t width = 1; width < n; width *= 2) {
    for (std::size_t begin = 0; begin < n; begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, n);
      const std::size_t end = std::min(begin + 2 * width, n);
      std::size_t left = begin;
      std::size_t right = middle;
      for (std::size_t out = begin; out < end; ++out) {
        if (right == end || (left < middle && y[left] <= y[right])) {
          merged[out] = y[left++];
        } else {
          inversions += static_cast<std::int64_t>(middle - left);
          merged[out] = y[right++];
        }
      }
    }
    y.swap(merged);
  }
  return inversions;
}

// 2 / n!, which ends in 0 where n! is no double.
double two_over_factorial(std::int64_t n) {
  double quotient = 2.0;
  for (std::int64_t k = 2; k <= n && quotient > 0.0; ++k) quotient /= static_cast<double>(k);
  return quotient;
}

// Two-sided p-value of a permutation of n values with `inversions` of its `total` pairs out of order.
double exact_p(std::int64_t n, std::int64_t inversions, std::int64_t total) {
  const std::int64_t c = std::min(inversions, total - inversions);
  // With one pair out of order the tail holds 1 + (n - 1) = n permutations of n!.
  if (c <= 1) return two_over_factorial(n - c);
  // probability[k]: that a random permutation of j values has k inversions. The j-th value adds 0 .. j - 1 of
  // them, each as likely; plain sums of probabilities lose no digits, unlike differences of cumulative
  // counts.
  std::vector<double> probability(static_cast<std::size_t>(c) + 1, 0.0);
  probability[0] = 1.0;
  for (std::int64_t j = 2; j <= n; ++j) {
    for (std::int64_t k = c; k >= 0; --k) {  // downwards, so that the smaller k still belong to j - 1
      const auto first = probability.begin() + std::max<std::int64_t>(0, k - j + 1);
      const auto last = probability.begin() + k + 1;
      probability[static_cast<std::size_t>(k)] = std::accumulate(first, last, 0.0) / static_cast<double>(j);
    }
  }
  // Both tails hold the middle of the distribution when c is half of all pairs.
  return std::min(1.0, 2.0 * std::accumulate(probability.begin(), probability.end(), 0.0));
}

double asymptotic_p(std::int64_t n, std::int64_t score, const Ties& x, const Ties& y) {
  const auto size = static_cast<double>(n);
  const double m = size * (size - 1.0);
  // Variance under ties: G. E. Noether, "Elements of Nonparametric Statistics" (1967). A list of two values
  // that gets here would be constant, so that size - 2 is not 0.
  const double variance = (m * (2.0 * size + 5.0) - x.spread - y.spread) / 18.0 +
                          2.0 * static_cast<double>(x.pairs) * static_cast<double>(y.pairs) / m +
                          x.triples * y.triples / (9.0 * m * (size - 2.0));
  return std::erfc(std::abs(static_cast<double>(score)) / std::sqrt(2.0 * variance));
}

// 1-based; equal values share the average of their ranks.
std::vector<double> average_ranks(const std::vector<double>& x) {
  std::vector<std::size_t> order = indices(x.size());
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (std::size_t first = 0, last = 1; first < order.size(); first = last++) {
    while (last < order.size() && x[order[last]] == x[order[first]]) ++last;
    const double rank = 0.5 * static_cast<double>(first + 1 + last);
    for (std::size_t i = first; i < last; ++i) ranks[order[i]] = rank;
  }
  return ranks;
}

// x - mean(x), after scaling to at most 1 in magnitude so that no later square over- or underflows. Equal
// values become ones, whose mean is exact, so that a constant list is left with zeros (or NaN, if it held
// zeros) and without a correlation.
std::vector<double> centred(std::vector<double> x) {
  double largest = 0.0;
  for (const double value : x) largest = std::max(largest, std::abs(value));
  for (double& value : x) value /= largest;
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  for (double& value : x) value -= mean;
  return x;
}

double pearson_of_checked(const std::vector<double>& x, const std::vector<double>& y) {
  const std::vector<double> dx = centred(x);
  const std::vector<double> dy = centred(y);
  const double xy = std::inner_product(dx.begin(), dx.end(), dy.begin(), 0.0);
  const double xx = std::inner_product(dx.begin(), dx.end(), dx.begin(), 0.0);
  const double yy = std::inner_product(dy.begin(), dy.end(), dy.begin(), 0.0);
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

}  // namespace

Correlation kendall_tau(const std::vector<double>& x, const std::vector<double>& y) {
  check("kendall_tau", x, y);
  const std::size_t size = x.size();
  std::vector<std::size_t> order = indices(size);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return x[a] != x[b] ? x[a] < x[b] : y[a] < y[b]; });
  const auto same_x = [&](std::size_t i) { return x[order[i]] == x[order[i - 1]]; };
  const Ties x_ties = count_ties(size, same_x);
  const Ties both_ties =
      count_ties(size, [&](std::size_t i) { return same_x(i) && y[order[i]] == y[order[i - 1]]; });

  // Pairs tied in x are in order of y by now, so that only discordant pairs are left to invert.
  std::vector<double> y_sorted(size);
  std::transform(order.begin(), order.end(), y_sorted.begin(), [&](std::size_t i) { return y[i]; });
  const std::int64_t discordant = sort_counting_inversions(y_sorted);
  const Ties y_ties = count_ties(size, [&](std::size_t i) { return y_sorted[i] == y_sorted[i - 1]; });

  const auto n = static_cast<std::int64_t>(size);
  const std::int64_t total = n * (n - 1) / 2;
  if (x_ties.pairs == total || y_ties.pairs == total) return {kNan, kNan};
  const std::int64_t score = total - x_ties.pairs - y_ties.pairs + both_ties.pairs - 2 * discordant;
  const double scale =
      std::sqrt(static_cast<double>(total - x_ties.pairs) * static_cast<double>(total - y_ties.pairs));
  const double tau = std::clamp(static_cast<double>(score) / scale, -1.0, 1.0);

  const bool tied = x_ties.pairs != 0 || y_ties.pairs != 0;
  if (!tied && (n <= 33 || std::min(discordant, total - discordant) <= 1))
    return {tau, exact_p(n, discordant, total)};
  return {tau, asymptotic_p(n, score, x_ties, y_ties)};
}

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  check("spearman", x, y);
  return pearson_of_checked(average_ranks(x), average_ranks(y));
}

double pearson(const std::vector<double>& x, const std::vector<double>& y) {
  check("pearson", x, y);
  return pearson_of_checked(x, y);
}

}  // namespace whence::stats
