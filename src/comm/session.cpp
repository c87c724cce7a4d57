#include "whence/comm/session.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>

#include <ATen/Parallel.h>

#include "whence/comm/launcher.h"
#include "whence/comm/one_sided.h"
#include "whence/comm/speaker.h"
#include "whence/core/error.h"
#include "whence/core/matrix_kernels.h"
#include "whence/core/printable.h"
#include "whence/core/stop.h"

namespace whence {
namespace {

// LibTorch allocates and frees every intermediate tensor. Left to itself glibc gives large blocks back to the
// kernel each time, and faulting their pages in again costs more than the arithmetic on them.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

// With several ranks a message says whose it is.
std::string by_this_rank(const std::string& message, const Communicator& world) {
  return world.size() == 1 ? message : fmt::format("{}: {}", rank_and_host(), message);
}

// When several ranks fail at once (a full disk), the first to claim it speaks, which by these turns is most
// often the lowest; its abort ends the others. No two have the same turn, and the last comes within four
// seconds.
std::chrono::milliseconds turn_of(const Communicator& world) {
  return std::chrono::milliseconds(std::min(200, 4000 / world.size()) * world.rank());
}

// Waits until the launcher has what was written to `file`: Open MPI 5's drops what it has not read from a
// rank, or not passed on, when the rank ends the job.
void wait_until_read(std::FILE* file) {
  const int descriptor = fileno(file);
  struct stat kind {};
  if (fstat(descriptor, &kind) != 0 || !S_ISFIFO(kind.st_mode)) return;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  int unread = 0;
  while (ioctl(descriptor, FIONREAD, &unread) == 0 && unread > 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

// The rank that tells the error ends all.
void wait_for_the_end() { std::this_thread::sleep_for(std::chrono::seconds(10)); }

}  // namespace

Session::Session(int threads) {
  keep_freed_memory();
  allow_windows_over_tcp();
  expect_to_be_alone();
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  use_threads(threads);
}

Session::~Session() { MPI_Finalize(); }

void Session::use_threads(int threads) {
  at::set_num_threads(threads);
  use_matrix_threads(threads);
}

int run_guarded(const Communicator& world, const std::string& job, const std::function<void()>& work) {
  const auto tell = [&job](const std::string& sentence) {
    std::fprintf(stderr, "whence %s: %s\n", printable(job).c_str(), sentence.c_str());
    std::fflush(stderr);
  };
  int code = 1;
  std::string message;
  Speaker speaker(world);
  try {
    work();
    return 0;
  } catch (const SharedUsageError& error) {
    if (world.is_root()) tell(one_line(error));
    return 2;
  } catch (const Interrupted& stop) {
    if (world.is_root()) tell(one_line(stop));
    world.barrier();  // mpirun ends the others when the first one leaves with another code than 0
    return interrupted_exit_code;
  } catch (const SharedError& error) {
    if (!world.is_root()) wait_for_the_end();
    message = one_line(error);
  } catch (const UsageError& error) {
    code = 2;
    message = by_this_rank(one_line(error), world);
  } catch (const std::exception& error) {
    message = by_this_rank(one_line(error), world);
  }
  std::this_thread::sleep_for(turn_of(world));
  if (speaker.claim())
    tell(message);
  else
    wait_for_the_end();
  if (world.size() > 1) {
    wait_until_read(stderr);
    MPI_Abort(world.handle(), code);
  }
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace whence
