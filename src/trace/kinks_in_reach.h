#pragma once
// The units that some instance's removal can carry across their kink in one step.

#include <vector>

#include <ATen/core/Tensor.h>

#include "instance_moves.h"

namespace whence {

/// Units of one layer, each on one sample, C in all.
struct KinksInReach {
  std::size_t layer;             ///< of the player's
  double jump;                   ///< of the slope, upwards
  at::Tensor a;                  ///< [C] pre-activations
  at::Tensor kappa;              ///< [Q, C]: what <q, g> gains with each unit's slope
  at::Tensor unit;               ///< [C]
  std::vector<at::Tensor> by_a;  ///< derivatives of a by the pre-activations of layer l < layer: [C, out]
  std::vector<at::Tensor> h;     ///< inputs of layer l <= layer: [C, in]
  std::vector<bool> biased;      ///< of the same
};

/// Of step t, at theta [P], for queries q [Q, P].
std::vector<KinksInReach> kinks_in_reach(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                                         const at::Tensor& q, const InstanceMoves& moves);

}  // namespace whence
