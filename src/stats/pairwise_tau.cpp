#include "whence/stats/pairwise_tau.h"

#include <cmath>
#include <limits>

#include "whence/stats/rank_correlation.h"

namespace whence::stats {

double mean_pairwise_tau(const std::vector<std::vector<double>>& lists) {
  double sum = 0;
  int pairs = 0;
  for (std::size_t a = 0; a < lists.size(); ++a)
    for (std::size_t b = a + 1; b < lists.size(); ++b) {
      if (lists[a].size() < 2) continue;
      const double tau = kendall_tau(lists[a], lists[b]).value;
      if (!std::isfinite(tau)) continue;
      sum += tau;
      ++pairs;
    }
  return pairs > 0 ? sum / pairs : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace whence::stats
