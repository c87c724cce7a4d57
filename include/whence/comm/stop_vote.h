#pragma once
// Ranks agree on where to stop.

#include <chrono>
#include <cstdint>

#include "whence/comm/communicator.h"
#include "whence/core/stop.h"

namespace whence {

/// For work that all ranks do in step. A signal reaches ranks at different moments, or only one of them; a
/// rank that left by itself would leave the others waiting in a collective. So they vote, by one small
/// all-reduce about every half second, whatever a step costs.
class StopVote {
 public:
  StopVote(const StopSignals& signals, const Communicator& ranks);

  /// Called by every rank between the same steps. True, on all ranks at the same step, once any of them has
  /// been asked to stop. Most calls communicate nothing.
  bool agreed();

  /// Seconds since the start as of the last vote: the same number on every rank.
  double seconds() const { return seconds_; }

 private:
  using Clock = std::chrono::steady_clock;

  const StopSignals& signals_;
  Communicator ranks_;
  Clock::time_point start_;
  double seconds_ = 0;
  std::int64_t stride_ = 1, calls_ = 0;
};

}  // namespace whence
