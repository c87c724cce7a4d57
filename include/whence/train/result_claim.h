#pragma once
// A job's right to make one result file.

#include <functional>
#include <memory>
#include <string>

#include "whence/comm/communicator.h"
#include "whence/io/artifact.h"

namespace whence {

/// What a job means to do.
struct ClaimOptions {
  bool overwrite = false;  ///< make the result anew, whatever is there
  bool look_only = false;  ///< make nothing: no lock is needed
  /// Hears on rank 0 what there is to say about the lock; may be empty.
  std::function<void(const std::string&)> say = {};
};

/// Held by a job while it makes a result. Whether the result is there is decided by rank 0, with the lock in
/// hand, and told to all: ranks that look by themselves may see different things while another job ends, or
/// through a file system that is slow to tell.
class ResultClaim {
 public:
  /// Locks `result` and looks for it (already_there). SharedUsageError when `attributes` are not the same on
  /// all ranks; SharedError when another job is at it, or when the file that is there has other ones.
  /// Collective.
  ResultClaim(const std::string& result, const Schema& schema, const Attributes& attributes,
              const ClaimOptions& options, const Communicator& ranks);

  /// The result is there: nothing to do, and no lock is held. The same on every rank.
  bool done() const { return done_; }

 private:
  std::unique_ptr<RunLock> lock_;  // on rank 0
  bool done_ = false;
};

}  // namespace whence
