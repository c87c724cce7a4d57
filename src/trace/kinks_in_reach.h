#pragma once
// The units that some instance's removal can carry across their kink in one step.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "instance_moves.h"

namespace whence {

/// Units of one layer, each on one sample of a step, C in all.
struct KinksInReach {
  std::size_t layer;               ///< of the player's
  double jump;                     ///< of the slope, upwards
  at::Tensor a;                    ///< [C] pre-activations
  at::Tensor kappa;                ///< [Q, C]: what <q, g> gains with each unit's slope
  at::Tensor unit;                 ///< [C]
  std::vector<at::Tensor> by_a;    ///< derivatives of a by the pre-activations of layer l < layer: [C, out]
  std::vector<at::Tensor> h;       ///< inputs of layer l <= layer: [C, in]
  std::vector<bool> biased;        ///< of the same
  std::vector<std::int64_t> step;  ///< [C], descending
  // Where moves are carried (carried_moves.h), else undefined:
  at::Tensor along = {};  ///< [r, C]: derivatives of a along the directions
  at::Tensor id = {};     ///< [C]: the unit's number among all of its step

  std::int64_t size() const { return a.size(0); }
  /// How many numbers that are, for what they take of memory.
  std::int64_t numbers() const;
  /// An upper bound [C] of how far a frozen move within `reach` carries each.
  at::Tensor distance_in(const Reach& reach) const;
};

/// A step to look for them in, and where.
struct QueriedStep {
  std::int64_t t;
  at::Tensor theta, q;  ///< [P] and [Q, P], float64
};

/// Of steps, the later first: those that some instance may move.
std::vector<KinksInReach> kinks_in_reach(const RecordedSteps& run, const std::vector<QueriedStep>& steps,
                                         const Reach& reach);

/// Those of them that one with such a reach may move.
KinksInReach still_in_reach(const KinksInReach& kinks, const Reach& reach);

/// Those in such places [n].
KinksInReach chosen(const KinksInReach& kinks, const at::Tensor& places);
/// Those of one layer, the later first.
KinksInReach joined(const std::vector<KinksInReach>& parts);

}  // namespace whence
