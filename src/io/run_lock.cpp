#include "whence/io/run_lock.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

#include "whence/core/error.h"
#include "whence/core/host.h"

namespace whence {
namespace {

constexpr auto between_looks = std::chrono::milliseconds(20);
// What another process does with a lock file takes milliseconds; one that takes this long has ended.
constexpr auto longest_wait = std::chrono::seconds(60);

// When a process of this host began, in the kernel's ticks; nothing when there is no such process. It tells a
// process from a later one with the same number.
std::optional<std::string> start_of(long process) {
  if (process <= 0 || (::kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH)) return std::nullopt;
  std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(stat), {}};
  if (text.find(')') == std::string::npos) return "unknown";
  // Behind the name in brackets: the fields from 3 on.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  return field;
}

std::string own_name() {
  return fmt::format("{} {} {}\n", host_name(), ::getpid(), start_of(::getpid()).value_or("unknown"));
}

struct Owner {
  std::string host, process, start;
};

Owner owner_in(const std::string& text) {
  std::istringstream words(text);
  Owner owner;
  words >> owner.host >> owner.process >> owner.start;
  return owner;
}

// Whether the process that the text names has surely ended.
bool has_ended(const Owner& owner) {
  if (owner.host != host_name() || owner.start.empty()) return false;
  return start_of(std::strtol(owner.process.c_str(), nullptr, 10)).value_or("ended") != owner.start;
}

std::optional<std::string> text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

// Creates the file with the text in it, unless it is there.
bool create_alone(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0 && errno == EEXIST) return false;
  if (file < 0) fail("{}: cannot create it ({})", path, std::strerror(errno));
  const auto written = ::write(file, text.data(), text.size());
  ::fsync(file);
  ::close(file);
  if (written == static_cast<ssize_t>(text.size())) return true;
  ::unlink(path.c_str());
  fail("{}: cannot write it ({})", path, std::strerror(errno));
}

}  // namespace

RunLock::RunLock(const std::string& folder, const std::string& result, Busy busy)
    : RunLock(folder, result, busy, ::flock) {}

RunLock::RunLock(const std::string& folder, const std::string& result, Busy busy, const Flock& flock)
    : folder_(folder) {
  const std::string path = folder + "/.lock" + (result.empty() ? "" : "." + result);
  owner_ = path + ".owner";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("{}: cannot open it ({})", path, std::strerror(errno));
  try {
    const bool locked = lock_file(busy, flock);
    // A job on a host without locks may hold the folder all the same.
    if (!locked || ::access(owner_.c_str(), F_OK) == 0) own(busy);
    if (!locked)
      caution_ = fmt::format(
          "{}: this file system has no locks, so {} holds the run folder; delete it if a job is killed on "
          "another host",
          folder, owner_);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

// Whether the file system could do it.
bool RunLock::lock_file(Busy busy, const Flock& flock) {
  const int mode = busy == Busy::wait ? LOCK_EX : LOCK_EX | LOCK_NB;
  while (flock(descriptor_, mode) != 0) {
    if (errno == EWOULDBLOCK) fail("{}: another job is writing into this run folder", folder_);
    if (errno != EINTR) return false;
  }
  return true;
}

void RunLock::own(Busy busy) {
  const auto give_up = std::chrono::steady_clock::now() + longest_wait;
  while (!create_alone(owner_, own_name())) {
    const auto text = text_of(owner_);
    if (!text) continue;  // given back meanwhile
    const Owner owner = owner_in(*text);
    const bool waiting = std::chrono::steady_clock::now() < give_up;
    if (has_ended(owner) && waiting) {
      take_over(*text);
    } else if (busy == Busy::wait && waiting) {
      std::this_thread::sleep_for(between_looks);
    } else if (owner.host == host_name()) {
      fail("{}: another job is writing into this run folder (process {})", folder_, owner.process);
    } else {
      fail("{}: a job on {} is writing into this run folder; if it has ended, delete {}", folder_,
           owner.host.empty() ? "an unknown host" : owner.host, owner_);
    }
  }
  owning_ = true;
}

// Deletes what an ended process left. Two that find it must not delete each other's: only the one that
// creates a second file may look again and delete.
void RunLock::take_over(const std::string& ended) {
  const std::string guard = owner_ + ".taken_over";
  if (!create_alone(guard, own_name())) {
    if (const auto text = text_of(guard); text && has_ended(owner_in(*text)))
      fail("{}: a job ended while it took over the run folder; delete {}", folder_, guard);
    std::this_thread::sleep_for(between_looks);
    return;
  }
  if (text_of(owner_) == ended) ::unlink(owner_.c_str());
  ::unlink(guard.c_str());
}

RunLock::~RunLock() {
  if (owning_) ::unlink(owner_.c_str());
  ::close(descriptor_);
}

}  // namespace whence
