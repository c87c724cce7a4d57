#pragma once
// Crossings of the kink counted with moves that are carried forward.

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/train/recorded_steps.h"

namespace whence {

/// Units that changed sides in one step because an instance is missing.
struct CrossedUnits {
  std::vector<std::int64_t> instance;  ///< position in the data
  std::vector<std::int32_t> unit;  ///< number among the step's units, as KinkPass::kinked_layers() has them
  std::vector<std::int8_t> up;     ///< 1, or -1 where it went down
};

/// Removing instance j moves theta by d_j(t) at step t. Frozen moves m_j (crossings.h) take it that the
/// gradients of later steps stay what they were. They do not: the step's derivative J acts on the move, and
/// each unit that crosses makes gradients jump. What that adds is the same few directions b (pilots.h) for
/// most instances, so that
///   d_j = m_j + sum_b w_jb b,    w_jb(t + 1) = w_jb(t) - <b, B J d_j + B jumps of the units that d_j takes
///   across>
/// is the move as it is, but for what lies outside those directions.
class CarriedMoves {
 public:
  /// Of this rank's instances (every `ranks`-th) over the last `epochs_back` epochs.
  CarriedMoves(const RecordedSteps& run, std::int64_t epochs_back, const Communicator& ranks);

  /// Carries them from the first of these steps to the end of the run and keeps which units cross. `going_on`
  /// hears the share that is done and says whether to go on: the same on every rank; false where it said no.
  /// Collective. Error where a number is not finite.
  bool carry(const std::function<bool(double)>& going_on);

  std::int64_t epochs_back() const { return epochs_back_; }
  const CrossedUnits& crossed(std::int64_t t) const { return crossed_[t - first_]; }

  /// Bytes a rank while they are carried, apart from what InstanceMoves keeps.
  static double bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks);

 private:
  RecordedSteps run_;
  std::int64_t epochs_back_, first_;
  Communicator ranks_;
  std::vector<CrossedUnits> crossed_;
};

}  // namespace whence
