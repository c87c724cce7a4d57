#pragma once
// Units near their kink: which ones a move may take across it, and what that does to gradients.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "instance_moves.h"
#include "kinks_in_reach.h"
#include "layer_record.h"

namespace whence {

/// sqrt(|h|^2 + 1 if biased) over the last dimension: the norm of a layer's input.
at::Tensor norm_of_input(const at::Tensor& h, bool biased);

/// Every `queries`-th replica, without the graph: a step's are alike but for the query.
at::Tensor by_step(const at::Tensor& replicas, std::int64_t queries);

/// For each layer of the player that holds the instances an upper bound [steps, m, out] of how far a frozen
/// move within `reach` can carry its pre-activations.
std::vector<at::Tensor> reach_of_units(const KinkPass& pass, const LayerRecord& record, const Reach& reach,
                                       std::int64_t queries);

/// kappa [steps Q, m, out] of each of the pass's layers, by two derivatives: of <q, g> by the slopes.
std::vector<at::Tensor> kappas(const Game& game, KinkPass& pass, const std::vector<KinkedLayer>& layers,
                               const at::Tensor& q);

/// Units of one layer on one kind of samples: the steps' places, ascending, the samples, the units.
struct FoundUnits {
  std::size_t layer;
  bool of_latents;
  at::Tensor steps, rows, units;   ///< [C]
  at::Tensor kappa;                ///< [Q, C]
  at::Tensor along = {}, id = {};  ///< see KinksInReach
};

/// Those where `near` [steps, m, out] is true; undefined steps where none is.
FoundUnits found_where(const at::Tensor& near, const KinkedLayer& layer);
/// The numbers [..., C] of found units, of a tensor [..., steps, m, out].
at::Tensor of_found(const FoundUnits& found, const at::Tensor& all);

/// A row of its own for each unit that was found.
class RowsOfFound {
 public:
  RowsOfFound(const Game& game, const std::vector<FoundUnits>& found, std::size_t steps);

  /// [C] of those of one layer, in the order of `found`, among all steps' rows.
  const at::Tensor& places(std::size_t i) const { return places_[i]; }
  /// How many rows a step has, of instances and latents together.
  std::int64_t most() const { return most_instances_ + most_latents_; }
  /// The pass of the steps' thetas and mini-batches in which each has its row.
  KinkPass alone(const at::Tensor& thetas, const Batch& batches) const;

 private:
  const Game& game_;
  RowsOfSteps instances_, latents_;
  std::int64_t most_instances_, most_latents_;
  std::vector<at::Tensor> places_;
};

/// The same with the derivatives of each unit's pre-activation, of RowsOfFound::alone(); `steps`: their t.
KinksInReach looked_into(const KinkPass& alone, const FoundUnits& found, const at::Tensor& places,
                         const std::vector<std::int64_t>& steps);

}  // namespace whence
