#pragma once
// Blocks of work for whoever is free.

#include <chrono>
#include <cstdint>
#include <optional>

#include "whence/comm/communicator.h"
#include "whence/core/stop.h"

namespace whence {

/// Numbers 0 .. total-1, each handed to exactly one rank, in order, on demand. A counter in rank 0's memory
/// that ranks increment by MPI's one-sided fetch-and-add: slow ranks take fewer, and no rank serves the
/// others.
class WorkQueue {
 public:
  /// Collective over `ranks`.
  WorkQueue(const Communicator& ranks, std::int64_t total);
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// The next number, or nothing when all are taken. Not collective.
  std::optional<std::int64_t> next();

  /// Gives MPI a chance to serve other ranks' requests where the network cannot do it alone; called between
  /// steps of long work. Costs well under a microsecond.
  void progress() const;

  /// Whether to leave off: true on every rank, within about a quarter of a second, once a rank that calls
  /// this has been asked to stop; next() then has nothing more for anyone. Not collective.
  bool stopped(const StopSignals& signals);

 private:
  Communicator ranks_;
  std::int64_t total_;
  std::int64_t* counter_ = nullptr;
  MPI_Win window_ = MPI_WIN_NULL;
  std::chrono::steady_clock::time_point looked_{};
  bool stopped_ = false;
};

}  // namespace whence
