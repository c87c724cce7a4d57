#pragma once
// How many items two random subsets share.

#include <cstddef>
#include <vector>

namespace whence::stats {

/// A distribution of whole numbers from `least` on.
struct Counts {
  std::size_t least = 0;
  std::vector<double> probability;
};

/// Of the overlap of an a-subset of n items with a uniformly random b-subset of them (hypergeometric). Ends
/// too improbable to change a sum in double precision are left out. a and b are at most n.
Counts overlap(std::size_t n, std::size_t a, std::size_t b);

}  // namespace whence::stats
