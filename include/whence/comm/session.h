#pragma once
// The life of an MPI program, and what happens when it fails.

#include <functional>
#include <string>

#include "whence/comm/communicator.h"

namespace whence {

/// MPI and the thread pools of one process, from start to end. One object in main().
class Session {
 public:
  /// Starts MPI (also alone, without mpirun) and gives LibTorch and OpenBLAS `threads` threads a rank.
  explicit Session(int threads);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Communicator world() const { return Communicator(MPI_COMM_WORLD); }

  /// Threads for the arithmetic of this rank, from now on.
  static void use_threads(int threads);
};

/// Runs a whole job and turns its errors into an exit code: 0, 2 for a UsageError, 75 when Interrupted, 1 for
/// any other error, with one sentence on standard error, also where several ranks fail at once (Speaker).
/// SharedUsageError and Interrupted end in order on all ranks. Any other error ends the process at once, and
/// every rank within seconds through MPI_Abort: the others may be waiting for this one in a collective, and
/// files that cannot be written cannot be closed in order either.
int run_guarded(const Communicator& world, const std::string& job, const std::function<void()>& work);

}  // namespace whence
