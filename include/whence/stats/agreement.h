#pragma once
// How well estimated influence agrees with the truth: the figures of a validation.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/stats/t_test.h"

namespace whence::stats {

/// One run's agreement over its targets (Terashita et al., section 5.1). A figure that is not defined is NaN,
/// and `reason` says why: "the 40 true influences are equal".
struct Agreement {
  double kendall_tau, kendall_p, spearman, pearson;
  double jaccard;         ///< expected over the ties at the edges of the critical sets
  double jaccard_chance;  ///< that of estimates without information, see jaccard_uninformed
  std::size_t targets;
  std::size_t critical;  ///< smallest, and largest, values in a critical set; 0: there is none
  std::size_t tied;      ///< see tied_at_edges
  std::string reason;    ///< empty where all is defined
};

/// `extremes`: how many largest and how many smallest values are critical (10 in the paper); fewer than 2 *
/// extremes targets use a quarter of them at each end. Where all targets would be critical there is no
/// Jaccard index. Never throws but for lists of different length.
Agreement agreement(const std::vector<double>& truth, const std::vector<double>& estimate,
                    std::size_t extremes);

/// Several runs' agreements, each figure over the runs that have it: means, sample standard deviations, and
/// p-values of one-sample t-tests against chance (0 for correlations; for Jaccard, of the difference to each
/// run's own chance).
struct AgreementSummary {
  Summary kendall_tau, jaccard, spearman, pearson;
  double kendall_p, jaccard_chance, tied;  ///< means
  std::size_t runs_with_tau, runs_with_jaccard;
};
AgreementSummary summarise(const std::vector<Agreement>& runs);

}  // namespace whence::stats
