#pragma once
// How far each instance's use in a step has moved the parameters of the player that holds the instances.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/train/recorded_steps.h"

namespace whence {

/// The uses of instances within one stretch of steps as long as an epoch, n in the order of their steps.
/// Removing the instance moves W_l by the outer product d_l h_l^T, and b_l by d_l, times Optimiser::move_of.
struct MovesOfStretch {
  std::vector<std::int64_t> first_row;  ///< of each of its steps, and n
  at::Tensor who;                       ///< [n] which of the group's members
  at::Tensor taken;                     ///< [n] float64: Move::taken of the use
  std::vector<at::Tensor> d, h;         ///< a player's layer: [n, out], [n, in] float64
  bool once;                            ///< no instance is there twice
};

/// What no move of a pre-activation can exceed for inputs of norm 1, by layer l: max_j sum over j's uses of
/// |d_li| (|h_l|^2 + 1 if biased)^(1/2) for each unit [out], and the same of the norm of d_l; both times
/// `factor`.
struct Reach {
  std::vector<at::Tensor> of_unit;
  std::vector<double> of_layer;
};

/// The uses of every `ranks`-th instance, from `rank` on, in the last steps of a run. Instances are in groups
/// of about the same reach: most of them move a unit far less than some do, and need not be looked at for a
/// unit that only those can move across its kink.
class InstanceMoves {
 public:
  InstanceMoves(const RecordedSteps& run, std::int64_t stretches, double factor, std::int64_t rank,
                std::int64_t ranks);

  /// Takes them from the recorded steps, backwards. Collective where Run::state is.
  void take();

  /// Positions in the data [n] of a group's members.
  const at::Tensor& members(std::size_t group) const { return groups_[group].positions; }
  std::size_t groups() const { return groups_.size(); }
  /// Stretch e of steps T - (e + 1) E to T - e E.
  const MovesOfStretch& stretch(std::size_t group, std::int64_t e) const {
    return groups_[group].stretches[e];
  }
  /// Of a group, and of all instances.
  const Reach& reach(std::size_t group) const { return groups_[group].reach; }
  const Reach& reach() const { return reach_; }

  /// Bytes of the factors of so many uses, and of what is found of each of so many instances.
  static double bytes(const Game& game, double uses, double instances);

 private:
  struct StepUses {
    at::Tensor who;
    double taken;
    std::vector<at::Tensor> d, h;
  };
  struct Group {
    at::Tensor positions;
    std::vector<MovesOfStretch> stretches;
    Reach reach;
  };
  std::vector<StepUses> uses_of(const std::vector<std::int64_t>& steps, std::vector<bool>& biased) const;
  MovesOfStretch joined(std::vector<StepUses> uses) const;
  // Of each instance over all its uses, by layer: [instances, out] and [instances].
  struct Reaches {
    std::vector<at::Tensor> of_unit, of_layer;
  };
  Reaches reaches_of(const std::vector<MovesOfStretch>& stretches, const std::vector<bool>& biased) const;
  void divide(std::vector<MovesOfStretch> stretches, const Reaches& reaches);

  RecordedSteps run_;
  double factor_;
  std::int64_t rank_, ranks_, instances_, stretches_;
  std::size_t layers_ = 0;
  std::vector<Group> groups_;
  Reach reach_;
};

}  // namespace whence
