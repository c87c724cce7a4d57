#pragma once
// Agreement on critical instances: do two lists of scores pick out the same extremes?

#include <cstddef>
#include <vector>

namespace whence::stats {

/// The Jaccard index of the critical sets of `truth` and `estimate`: a list's critical set is the indices of
/// its `extremes` smallest and `extremes` largest values (Terashita et al., "Influence Estimation for
/// Generative Adversarial Networks", ICLR 2021, section 5.1, with extremes = 10). Both ends are taken from
/// one order, by value and then by index: of equal values the lower indices count as smaller. Throws Error
/// when the lists differ in length, hold a NaN or an infinity (the message names the index), `extremes` is 0,
/// or 2 * extremes exceeds their length.
double jaccard_critical(const std::vector<double>& truth, const std::vector<double>& estimate,
                        std::size_t extremes);

/// The expected Jaccard index of two independent, uniformly random m-subsets of n items: the sum over the
/// overlap k, which is hypergeometric, of k / (2m - k) C(m, k) C(n - m, m - k) / C(n, m). Compare
/// jaccard_critical with m = 2 * extremes. Throws Error when m is 0 or exceeds n.
double jaccard_by_chance(std::size_t n, std::size_t m);

}  // namespace whence::stats
