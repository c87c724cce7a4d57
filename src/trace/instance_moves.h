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
  at::Tensor who;                       ///< [n] which of the instances
  at::Tensor taken;                     ///< [n] float64: Move::taken of the use
  std::vector<at::Tensor> d, h;         ///< a player's layer: [n, out], [n, in] float64
  bool once;                            ///< no instance is there twice
};

/// The uses of every `ranks`-th instance, from `rank` on, in the last steps of a run.
class InstanceMoves {
 public:
  InstanceMoves(const RecordedSteps& run, std::int64_t stretches, std::int64_t rank, std::int64_t ranks);

  /// Takes them from the recorded steps before `end`, backwards. Collective where Run::state is.
  void take(std::int64_t end);

  /// How many of the instances are here, and the position in the data of the i-th.
  std::int64_t instances() const { return instances_; }
  std::int64_t position(std::int64_t i) const { return rank_ + i * ranks_; }
  std::int64_t ranks() const { return ranks_; }
  /// Stretch e of steps T - (e + 1) E to T - e E.
  const MovesOfStretch& stretch(std::int64_t e) const { return stretches_[e]; }
  std::size_t layers() const { return layers_; }

  /// max_j sum over j's uses of |d_li| (|h_l|^2 + 1 if biased)^(1/2), for each unit [out] of layer l, and the
  /// same of the norm of d_l: what no move of a pre-activation can exceed for inputs of norm 1.
  const at::Tensor& largest_of_unit(std::size_t l) const { return largest_of_unit_[l]; }
  double largest(std::size_t l) const { return largest_[l]; }

  /// Bytes of the factors of so many uses.
  static double bytes(const Game& game, double uses);

 private:
  struct StepUses {
    at::Tensor who;
    double taken;
    std::vector<at::Tensor> d, h;
  };
  StepUses uses_of(std::int64_t t, std::vector<bool>& biased) const;
  MovesOfStretch joined(std::vector<StepUses> uses) const;
  void find_largest(const std::vector<bool>& biased);

  RecordedSteps run_;
  std::int64_t rank_, ranks_, instances_;
  std::size_t layers_ = 0;
  std::vector<MovesOfStretch> stretches_;
  std::vector<at::Tensor> largest_of_unit_;
  std::vector<double> largest_;
};

}  // namespace whence
