#pragma once
// Leaving in order when the scheduler wants its nodes back.

#include "whence/core/error.h"

namespace whence {

/// The job was asked to stop and has saved what it had: not a failure, the same command goes on. The message
/// says how far it came. Thrown by all ranks in agreement, with no collective operation under way.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// Exit code of an interrupted job: EX_TEMPFAIL of sysexits.h, "try again later".
constexpr int interrupted_exit_code = 75;

/// While it lives, SIGUSR1 (sent ahead of a time limit), SIGTERM (preemption) and a first SIGINT (Ctrl-C) no
/// longer end this process: they are remembered, for the work to find at its next good moment. A second
/// SIGINT ends it at once; one that the process was started to ignore stays ignored. One object at a time:
/// what a handler can reach is the process's, not an object's. Afterwards SIGTERM and SIGINT end the process
/// again, SIGUSR1 does nothing: the work it warned of is done.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Whether one of the signals has come to this process since the object was made.
  bool requested() const;

 private:
  bool interruptible_ = false;
};

}  // namespace whence
