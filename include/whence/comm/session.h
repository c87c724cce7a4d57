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

/// Runs a whole job and turns its errors into an exit code: 0, 2 for a UsageError, 1 for any other error,
/// with one sentence on standard error. An error that all ranks share (see Communicator::together) ends in
/// order; one that only this rank has ends every rank within seconds through MPI_Abort, since the others may
/// be waiting for it in a collective.
int run_guarded(const Communicator& world, const std::string& job, const std::function<void()>& work);

}  // namespace whence
