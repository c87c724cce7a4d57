#pragma once
// Agreement on critical instances: do two lists of scores pick out the same extremes?
//
// A list's critical set is the indices of its `extremes` smallest and `extremes` largest values (Terashita et
// al., "Influence Estimation for Generative Adversarial Networks", ICLR 2021, section 5.1, with extremes =
// 10). Where more values are equal than have room in the set, nothing tells which of them are critical. Every
// choice among them then counts as equally likely, in each list by itself: the index is its expectation over
// these choices, in closed form.
//
// The functions of two lists throw Error when the lists differ in length, hold a NaN or an infinity (the
// message names the index), `extremes` is 0, or 2 * extremes exceeds their length.

#include <cstddef>
#include <vector>

namespace whence::stats {

/// The (expected) Jaccard index of the critical sets of `truth` and `estimate`.
double jaccard_critical(const std::vector<double>& truth, const std::vector<double>& estimate,
                        std::size_t extremes);

/// How many indices ties leave in or out of a critical set, of `truth` or of `estimate`.
std::size_t tied_at_edges(const std::vector<double>& truth, const std::vector<double>& estimate,
                          std::size_t extremes);

/// What jaccard_critical is expected to be for estimates without information: those that are not 0 together
/// with a truth of 0 shuffled at random. A target that is 0 in both (no retrained step holds it) stays where
/// it is, since its 0 takes no estimating. Without such targets this is jaccard_by_chance(n, 2 * extremes).
double jaccard_uninformed(const std::vector<double>& truth, const std::vector<double>& estimate,
                          std::size_t extremes);

/// The expected Jaccard index of two independent, uniformly random m-subsets of n items: the sum over the
/// overlap k, which is hypergeometric, of k / (2m - k) C(m, k) C(n - m, m - k) / C(n, m). Throws Error when m
/// is 0 or exceeds n.
double jaccard_by_chance(std::size_t n, std::size_t m);

}  // namespace whence::stats
