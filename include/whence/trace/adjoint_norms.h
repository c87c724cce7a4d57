#pragma once
// How large queries become on their way back: |u|, the norm of the adjoint. Where it grows in a burst,
// training was unstable for a while: what it makes of a removal there is not linear, and no estimate from
// further back is to be trusted much.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// |u| is noted every so many steps back, and its growth is looked for over so many.
inline constexpr std::int64_t norm_stride = 5, growth_window = 25;
/// Growth within the window from which on estimates are warned of. It rests on three runs of a prototype
/// alone, which are not among the measurements of tests/results/trust.md.
inline constexpr double growth_to_warn_of = 1.5;

/// How many steps back the norms of a trace-back of so many steps are of: 0, norm_stride, ..., and `steps`.
std::vector<std::int64_t> noted_steps(std::int64_t steps);

/// The largest growth of |u| within growth_window steps, or over the whole way where that is shorter.
struct Growth {
  double factor;                    ///< 1 where the norm is 0 all the way
  std::int64_t begin = 0, end = 0;  ///< between how many steps back
};

/// Of the norms [L] at `steps_back` (noted_steps) up to `farthest` steps back.
Growth largest_growth(const at::Tensor& norms, const std::vector<std::int64_t>& steps_back,
                      std::int64_t farthest);

}  // namespace whence
