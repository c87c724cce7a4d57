#pragma once
// What a job tells the person who started it.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace whence {

/// Messages and progress of one job on standard error: of rank 0 only, nothing when quiet.
class Log {
 public:
  /// `speaking`: false on ranks other than 0 and with --quiet.
  explicit Log(bool speaking);

  /// An empty message is none.
  void say(const std::string& message) const;
  /// A message for when work begins, and for no job that is refused or has nothing to do: said with the first
  /// Progress of this log.
  void say_at_work(const std::string& message);
  bool speaking() const { return speaking_; }
  /// Whether standard error is a terminal, where a progress line may be redrawn in place.
  bool on_terminal() const { return on_terminal_; }

 private:
  friend class Progress;
  std::shared_ptr<std::vector<std::string>> at_work_ = std::make_shared<std::vector<std::string>>();
  bool speaking_, on_terminal_;
};

/// Progress through `total` units of work with the time left: redrawn in place on a terminal, a plain line at
/// each tenth of the way in a log file.
class Progress {
 public:
  Progress(const Log& log, std::string label, std::int64_t total, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance_to(std::int64_t done);
  /// The same where units take long, or are not alike: `share`, from 0 to 1, of all the work is done.
  void advance_to(std::int64_t done, double share);

 private:
  double share_of(std::int64_t done) const;
  void draw();

  using Clock = std::chrono::steady_clock;
  const Log& log_;
  std::string label_;
  std::int64_t total_, done_, last_tenth_;
  double first_share_, share_;
  Clock::time_point start_, drawn_;
  bool line_open_ = false;
};

/// "1.4 GiB".
std::string human_bytes(double bytes);
/// "2 min 05 s".
std::string human_seconds(double seconds);

}  // namespace whence
