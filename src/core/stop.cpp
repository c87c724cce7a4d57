#include "whence/core/stop.h"

#include <csignal>
#include <initializer_list>

namespace whence {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

extern "C" void remember_stop(int) { stop_requested = 1; }

void handle_with(void (*handler)(int), std::initializer_list<int> signals, int flags = 0) {
  struct sigaction action {};
  action.sa_handler = handler;
  // Reads and writes under way go on: nothing in HDF5 or MPI expects to be interrupted.
  action.sa_flags = SA_RESTART | flags;
  for (const int signal : signals) sigaction(signal, &action, nullptr);
}

// A shell that puts a job into the background has it ignore Ctrl-C.
bool ignored(int signal) {
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

StopSignals::StopSignals() {
  stop_requested = 0;
  handle_with(remember_stop, {SIGUSR1, SIGTERM});
  interruptible_ = !ignored(SIGINT);
  if (interruptible_) handle_with(remember_stop, {SIGINT}, static_cast<int>(SA_RESETHAND));
}

StopSignals::~StopSignals() {
  handle_with(SIG_DFL, {SIGTERM});
  if (interruptible_) handle_with(SIG_DFL, {SIGINT});
  // Only a scheduler's notice, and what it gives notice of has been done: it must not end the process.
  std::signal(SIGUSR1, SIG_IGN);
}

bool StopSignals::requested() const { return stop_requested != 0; }

}  // namespace whence
