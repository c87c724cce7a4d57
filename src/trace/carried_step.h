#pragma once
// One step as moves along some directions see it.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "instance_moves.h"
#include "kinks_in_reach.h"

namespace whence {

/// How far the moves of all instances may carry units: frozen ones within `frozen`, and in the directions
/// sums w whose numbers are `spread` [r] on average and whose norm in those units is not expected to pass
/// `norm`.
struct CarriedReach {
  Reach frozen;
  at::Tensor spread;
  double norm;

  /// An upper bound [...] of |w along| for such w, `along` [r, ...].
  at::Tensor distance_along(const at::Tensor& along) const;
};

/// [r, P]: what step t at theta [P] (of the game's dtype) takes from a move d along each of the directions b
/// [r, P] (float64), as long as no unit crosses: <b, d'> = <b, d> - <pull, d>.
at::Tensor pull_of(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                   const at::Tensor& directions);

struct CarriedStep {
  /// Units in reach, those of the player that holds the instances and of others. kappa [r, C]: what crossing
  /// upwards, times `jump`, takes from the move along each direction.
  std::vector<KinksInReach> own, others;
};

/// The same step's units.
CarriedStep carried_step(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                         const at::Tensor& directions, const CarriedReach& reach);

}  // namespace whence
