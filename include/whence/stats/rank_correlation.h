#pragma once
// How well two lists of scores agree: Kendall's tau-b with its p-value, Spearman's rho, Pearson's r.
//
// Every function here throws Error when x and y differ in length, have fewer than two values, or hold a NaN
// or an infinity (the message names the list and the index). Against a list whose values are all equal no
// correlation is defined: the result is then NaN (both value and p for kendall_tau), as in SciPy.

#include <vector>

namespace whence::stats {

/// A correlation and the two-sided p-value of the hypothesis that x and y are independent.
struct Correlation {
  double value;
  double p;
};

/// Kendall's tau-b in O(n log n): W. R. Knight, "A computer method for calculating Kendall's tau with
/// ungrouped data", JASA 61 (1966). The p-value is that of SciPy 1.10's
/// scipy.stats.kendalltau(method='auto'): from the exact null distribution (M. G. Kendall, "Rank Correlation
/// Methods") when there are no ties and either n <= 33 or at most one pair is out of (or in) order; otherwise
/// from the normal approximation with the variance corrected for ties. An exact p-value below 2/170! is given
/// as 0, as in SciPy.
Correlation kendall_tau(const std::vector<double>& x, const std::vector<double>& y);

/// Spearman's rho: the Pearson correlation of the ranks, where equal values share the average of their ranks.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

/// Pearson's r, in two passes over the values scaled to at most 1 in magnitude.
double pearson(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace whence::stats
