#pragma once
// Which of several ranks that fail at once tells the error.

#include "whence/comm/communicator.h"

namespace whence {

/// The right to speak, once for all ranks: a number on rank 0 that the first to take it changes, by a
/// one-sided operation.
class Speaker {
 public:
  /// Collective.
  explicit Speaker(const Communicator& ranks);
  /// Collective.
  ~Speaker();
  Speaker(const Speaker&) = delete;
  Speaker& operator=(const Speaker&) = delete;

  /// Whether this rank is the first of all to ask. On one node, and where the network does such operations
  /// itself, the answer does not depend on rank 0. Where rank 0 would have to answer, and computes for longer
  /// than two seconds, or where MPI has no one-sided operations, it is true: better two sentences than none.
  bool claim();

 private:
  MPI_Comm own_ = MPI_COMM_NULL;
  MPI_Win window_ = MPI_WIN_NULL;
};

}  // namespace whence
