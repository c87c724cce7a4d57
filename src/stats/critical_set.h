#pragma once
// Which values of a list are critical, and which may be.

#include <array>
#include <cstddef>
#include <vector>

namespace whence::stats {

/// Where an index stands: outside the critical set, inside, or tied for the room left in it.
enum Standing : std::size_t { outside, inside, tied_low, tied_high };

/// The critical set of a list: its `extremes` smallest and largest values. Of those tied at the edge of the
/// smallest (largest) `room[tied_low]` (`room[tied_high]`) are inside, any of them as likely. Values that
/// reach from one edge to the other are tied_low together.
struct CriticalSet {
  std::vector<Standing> standing;      ///< by index
  std::array<std::size_t, 4> count{};  ///< of each standing
  std::array<std::size_t, 4> room{};   ///< of each standing, how many are in the set
  bool ties() const { return count[tied_low] + count[tied_high] > 0; }
};

/// `values` are finite, 1 <= extremes <= n / 2.
CriticalSet critical_set(const std::vector<double>& values, std::size_t extremes);

}  // namespace whence::stats
