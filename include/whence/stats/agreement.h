#pragma once
// How well estimated influence agrees with the truth: the figures of a validation.

#include <cstdint>
#include <vector>

#include "whence/stats/t_test.h"

namespace whence::stats {

/// One run's agreement over its targets (Terashita et al., section 5.1).
struct Agreement {
  double kendall_tau, kendall_p, jaccard, jaccard_chance, spearman, pearson;
};

/// `extremes`: how many largest and how many smallest values are critical (10 in the paper); fewer than 2 *
/// extremes targets use a quarter of them at each end.
Agreement agreement(const std::vector<double>& truth, const std::vector<double>& estimate,
                    std::size_t extremes);

/// Several runs' agreements: means, sample standard deviations, and p-values of one-sample t-tests against
/// chance (0 for correlations, the expected index of two random sets for Jaccard).
struct AgreementSummary {
  Summary kendall_tau, jaccard, spearman, pearson;
  double kendall_p, jaccard_chance;  ///< means
};
AgreementSummary summarise(const std::vector<Agreement>& runs);

}  // namespace whence::stats
