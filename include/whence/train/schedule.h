#pragma once
// Which instances and which learning rates each step sees.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// `simultaneous`: all players move at every step. `alternating`: one player a step, the last (the
/// discriminator) first; the others' rates are 0 (Terashita et al., appendix A).
enum class Update { simultaneous, alternating };

/// `constant`, or `inverse_sqrt`: rate / sqrt(t + 1) at step t = 0, 1, ...
enum class Decay { constant, inverse_sqrt };

struct ScheduleOptions {
  std::int64_t instances;  ///< N
  std::int64_t batch;      ///< |S|, at most N
  std::int64_t epochs;     ///< K
  std::uint64_t seed;
  Update update = Update::simultaneous;
  Decay decay = Decay::constant;
  std::vector<double> rates;     ///< one a player
  std::int64_t total_steps = 0;  ///< T; 0: K whole epochs
};

/// An epoch is one permutation of the instances, cut into batches; an incomplete last batch is dropped.
class Schedule {
 public:
  explicit Schedule(ScheduleOptions options);

  std::int64_t steps_per_epoch() const { return options_.instances / options_.batch; }
  std::int64_t steps() const {
    return options_.total_steps > 0 ? options_.total_steps : options_.epochs * steps_per_epoch();
  }
  const ScheduleOptions& options() const { return options_; }

  /// Instances of step t: [|S|] int64 positions in the training set.
  at::Tensor batch(std::int64_t t) const;
  /// Learning rate of each player at step t: [players] float64.
  at::Tensor rates(std::int64_t t) const;

 private:
  ScheduleOptions options_;
  // The permutation of the epoch asked for last: steps come in order.
  mutable std::int64_t cached_epoch_ = -1;
  mutable at::Tensor permutation_;
};

}  // namespace whence
