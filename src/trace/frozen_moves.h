#pragma once
// How far the moves of uses, taken as they were when they were made, carry units.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "instance_moves.h"
#include "kinks_in_reach.h"

namespace whence {

/// <m, grad a_c> [n, C] of m of each of the uses in stretch e, where it comes before the unit's step, else 0;
/// uses after the last of the steps are left away. Only the steps of one stretch may be among the units'.
at::Tensor frozen_moves(const RecordedSteps& run, const KinksInReach& kinks, const MovesOfStretch& stretch,
                        std::int64_t e);

/// <v, m> [n, r] of m of each of the first n uses of a stretch, for v [r, P].
at::Tensor products_with_uses(const RecordedSteps& run, const at::Tensor& v, const MovesOfStretch& stretch,
                              std::int64_t n);

}  // namespace whence
