#include "overlap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace whence::stats {

Counts overlap(std::size_t n, std::size_t a, std::size_t b) {
  constexpr double negligible = 1e-20;
  const std::size_t least = a > n - b ? a - (n - b) : 0, most = std::min(a, b);
  const auto log_of = [](std::size_t value) { return std::log(static_cast<double>(value)); };
  // log C(a, k) C(n - a, b - k) from one overlap to the next. Summing these small logarithms keeps digits
  // that differences of log-factorials of n would lose.
  std::vector<double> weight{0.0};
  for (std::size_t k = least; k < most; ++k)
    weight.push_back(weight.back() + log_of(a - k) + log_of(b - k) - log_of(k + 1) -
                     log_of(n - a - (b - k) + 1));
  // Relative to the largest, which therefore cannot overflow; they are normalised by their own sum.
  const double largest = *std::max_element(weight.begin(), weight.end());
  for (double& value : weight) value = std::exp(value - largest);
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  const auto matters = [&](double value) { return value > negligible * total; };
  const auto first = std::find_if(weight.begin(), weight.end(), matters);
  const auto last = std::find_if(weight.rbegin(), weight.rend(), matters).base();
  Counts counts{least + static_cast<std::size_t>(first - weight.begin()), {first, last}};
  for (double& value : counts.probability) value /= total;
  return counts;
}

}  // namespace whence::stats
