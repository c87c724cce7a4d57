#include "whence/comm/stop_vote.h"

#include <algorithm>

namespace whence {
namespace {

constexpr double rhythm = 0.5;  // seconds from one vote to the next
// A stride grows slowly, since the first steps may be the quickest.
constexpr std::int64_t growth = 4;

}  // namespace

StopVote::StopVote(const StopSignals& signals, const Communicator& ranks)
    : signals_(signals), ranks_(ranks), start_(Clock::now()) {}

bool StopVote::agreed() {
  if (++calls_ < stride_) return false;
  double ballot[2] = {signals_.requested() ? 1.0 : 0.0,
                      std::chrono::duration<double>(Clock::now() - start_).count()};
  MPI_Allreduce(MPI_IN_PLACE, ballot, 2, MPI_DOUBLE, MPI_MAX, ranks_.handle());
  // Every rank computes the next stride from the same numbers, so all vote again at the same step.
  const double a_call = std::max(1e-9, (ballot[1] - seconds_) / static_cast<double>(calls_));
  stride_ = std::clamp<std::int64_t>(static_cast<std::int64_t>(rhythm / a_call), 1, growth * stride_);
  seconds_ = ballot[1];
  calls_ = 0;
  return ballot[0] > 0;
}

}  // namespace whence
