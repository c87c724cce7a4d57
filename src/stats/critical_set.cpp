#include "critical_set.h"

#include <algorithm>

namespace whence::stats {

CriticalSet critical_set(const std::vector<double>& values, std::size_t extremes) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const double low = sorted[extremes - 1], high = sorted[sorted.size() - extremes];
  const auto below = [&](double value) {
    return static_cast<std::size_t>(std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
  };
  const auto equal = [&](double value) {
    const auto range = std::equal_range(sorted.begin(), sorted.end(), value);
    return static_cast<std::size_t>(range.second - range.first);
  };
  const std::size_t above = sorted.size() - below(high) - equal(high);

  CriticalSet set;
  set.room[tied_low] = low == high ? 2 * extremes - below(low) - above : extremes - below(low);
  set.room[tied_high] = low == high ? 0 : extremes - above;
  const Standing at_low = equal(low) == set.room[tied_low] ? inside : tied_low;
  const Standing at_high = equal(high) == set.room[tied_high] ? inside : tied_high;
  for (const double value : values) {
    const Standing standing = value == low                  ? at_low
                              : value == high               ? at_high
                              : value < low || value > high ? inside
                                                            : outside;
    set.standing.push_back(standing);
    ++set.count[standing];
  }
  if (at_low == inside) set.room[tied_low] = 0;
  if (at_high == inside) set.room[tied_high] = 0;
  set.room[inside] = set.count[inside];
  return set;
}

}  // namespace whence::stats
