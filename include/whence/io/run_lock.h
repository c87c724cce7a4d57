#pragma once
// One writer at a time for each result of a run folder.

#include <functional>
#include <string>

namespace whence {

/// Holds RUN/.lock, or RUN/.lock.RESULT, for the life of the object: a second job that writes the same result
/// is refused, or waits for its turn, while jobs with different results work on one run side by side. The
/// kernel drops the lock when the process ends, however it ends.
///
/// A file system without locks is met with a file RUN/.lock[.RESULT].owner that only one process can create
/// and that names its host and process; one whose process on this host has ended is taken over, and one of
/// another host is refused with the name of the file to delete. caution() says so.
class RunLock {
 public:
  enum class Busy { refuse, wait };
  /// flock(2), or what a test puts in its place.
  using Flock = std::function<int(int descriptor, int operation)>;

  /// Error naming the folder when another job holds it, and the file when it cannot be opened.
  explicit RunLock(const std::string& folder, const std::string& result = "", Busy busy = Busy::refuse);
  RunLock(const std::string& folder, const std::string& result, Busy busy, const Flock& flock);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// What the user has to know about how the folder is held; "" where the file system has locks.
  const std::string& caution() const { return caution_; }

 private:
  bool lock_file(Busy busy, const Flock& flock);
  void own(Busy busy);
  void take_over(const std::string& ended);

  std::string folder_, owner_, caution_;
  bool owning_ = false;
  int descriptor_ = -1;
};

}  // namespace whence
