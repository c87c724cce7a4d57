#pragma once
// Which instances and which learning rates each step sees.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/net/layout.h"
#include "whence/optimise/optimiser.h"

namespace whence {

/// `simultaneous`: all players move at every step. `alternating`: one player a step, the last (the
/// discriminator) first; the others' rates are 0 (Terashita et al., appendix A). The last player takes
/// `last_player_steps` steps before the others take one each (Goodfellow et al., 2014, algorithm 1).
enum class Update { simultaneous, alternating };

/// What the rate is multiplied by at step t = 0, 1, ... of T: `constant` 1, `inverse_sqrt` 1 / sqrt(t + 1),
/// `cosine` (1 + cos(pi t / T)) / 2 (Loshchilov and Hutter, ICLR 2017, eq. 5), `linear` 1 - t / T. After
/// warm-up steps, which are multiplied by (t + 1) / warmup, t and T are counted from their end.
enum class Decay { constant, inverse_sqrt, cosine, linear };

struct ScheduleOptions {
  std::int64_t instances;  ///< N
  std::int64_t batch;      ///< |S|, at most N
  std::int64_t epochs;     ///< K
  std::uint64_t seed;
  Update update = Update::simultaneous;
  Decay decay = Decay::constant;
  std::vector<double> rates;     ///< one a player
  std::int64_t total_steps = 0;  ///< T; 0: K whole epochs
  std::int64_t last_player_steps = 1;
  std::int64_t warmup = 0;       ///< steps
  std::int64_t epoch_steps = 0;  ///< E, steps of an epoch; 0: those of a pass
};

/// A pass is one permutation of the instances, cut into batches; an incomplete last batch is dropped. An
/// epoch is a pass, or E steps where data are so many that training sees a part of them: epochs count steps,
/// and which instances a step sees does not depend on them.
class Schedule {
 public:
  explicit Schedule(ScheduleOptions options);

  std::int64_t steps_per_epoch() const {
    return options_.epoch_steps > 0 ? options_.epoch_steps : steps_per_pass();
  }
  std::int64_t steps() const {
    return options_.total_steps > 0 ? options_.total_steps : options_.epochs * steps_per_epoch();
  }
  const ScheduleOptions& options() const { return options_; }

  /// Instances of step t: [|S|] int64 positions in the training set.
  at::Tensor batch(std::int64_t t) const;
  /// Learning rate of each player at step t: [players] float64; 0 where it is not the player's turn.
  at::Tensor rates(std::int64_t t) const;
  /// Step t for an optimiser, at these rates [players].
  Moves moves(std::int64_t t, const at::Tensor& rates, const ParameterLayout& layout) const;

 private:
  std::int64_t steps_per_pass() const { return options_.instances / options_.batch; }
  double factor(std::int64_t t) const;
  bool has_turn(std::int64_t player, std::int64_t t) const;
  std::int64_t steps_taken(std::int64_t player, std::int64_t t) const;

  ScheduleOptions options_;
  // The permutation of the pass asked for last: steps come in order.
  mutable std::int64_t cached_pass_ = -1;
  mutable at::Tensor permutation_;
};

}  // namespace whence
