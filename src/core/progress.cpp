#include "whence/core/progress.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>
#include <unistd.h>

#include "whence/core/printable.h"

namespace whence {
namespace {

// "[2026-01-31 23:59:59] ", by the local clock.
std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "[%Y-%m-%d %H:%M:%S] ", &local));
}

// Shares are quotients, which may lie a rounding below the whole number that they stand for.
std::int64_t whole(double number) { return static_cast<std::int64_t>(number + 1e-9); }
std::int64_t tenths(double share) { return whole(10 * share); }

}  // namespace

Log::Log(bool speaking) : speaking_(speaking), on_terminal_(isatty(STDERR_FILENO) == 1) {}

// One call, so that lines of several programs that share standard error stay whole.
void Log::say(const std::string& message) const {
  if (!speaking_ || message.empty()) return;
  const std::string line = (on_terminal_ ? "\r\033[K" : time_stamp()) + printable(message) + "\n";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

void Log::say_at_work(const std::string& message) { at_work_->push_back(message); }

Progress::Progress(const Log& log, std::string label, std::int64_t total, std::int64_t done)
    : log_(log),
      label_(std::move(label)),
      total_(total),
      done_(done),
      last_tenth_(tenths(share_of(done))),
      first_share_(share_of(done)),
      share_(first_share_),
      start_(Clock::now()) {
  for (const std::string& message : *log_.at_work_) log_.say(message);
  log_.at_work_->clear();
}

Progress::~Progress() {
  if (line_open_) std::fputc('\n', stderr);
}

double Progress::share_of(std::int64_t done) const {
  return total_ <= 0 ? 0 : static_cast<double>(done) / static_cast<double>(total_);
}

void Progress::advance_to(std::int64_t done) { advance_to(done, share_of(done)); }

void Progress::advance_to(std::int64_t done, double share) {
  done_ = done;
  share_ = std::max(share_, share);  // an estimate may be taken back, but a line that says so helps nobody
  if (!log_.speaking() || total_ <= 0) return;
  if (log_.on_terminal()) {
    const auto now = Clock::now();
    if (done_ == total_ || now - drawn_ > std::chrono::milliseconds(200)) {
      drawn_ = now;
      draw();
    }
  } else if (const std::int64_t tenth = done_ == total_ ? 10 : std::min<std::int64_t>(9, tenths(share));
             tenth > last_tenth_) {
    last_tenth_ = tenth;
    draw();
  }
}

void Progress::draw() {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double done = share_ - first_share_;
  const std::string line =
      done_ == total_
          ? fmt::format("{}: {} of {}, done in {}", label_, done_, total_, human_seconds(elapsed))
          : fmt::format(
                "{}: {} of {} ({}%){}", label_, done_, total_,
                std::min<std::int64_t>(99, whole(100 * share_)),
                done > 0 && share_ < 1 ? ", " + human_seconds(elapsed * (1 - share_) / done) + " left" : "");
  if (log_.on_terminal()) {
    std::fprintf(stderr, "\r\033[K%s", printable(line).c_str());
    std::fflush(stderr);
    line_open_ = true;
  } else {
    log_.say(line);
  }
}

std::string human_bytes(double bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  // The next unit begins where this one would be rounded up to 1024.
  while (bytes >= (unit == 0 ? 1023.5 : 1023.95) && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string human_seconds(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (seconds < 59.5) return fmt::format("{:.0f} s", seconds);
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{} min {:02d} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02d} min", whole / 3600, whole / 60 % 60);
}

}  // namespace whence
