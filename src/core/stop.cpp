#include "whence/core/stop.h"

#include <csignal>

namespace whence {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

constexpr int signals[] = {SIGUSR1, SIGTERM};

extern "C" void remember_stop(int) { stop_requested = 1; }

void handle_with(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  // Reads and writes under way go on: nothing in HDF5 or MPI expects to be interrupted.
  action.sa_flags = SA_RESTART;
  for (const int signal : signals) sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  stop_requested = 0;
  handle_with(remember_stop);
}

StopSignals::~StopSignals() {
  handle_with(SIG_DFL);
  // Only a scheduler's notice, and what it gives notice of has been done: it must not end the process.
  std::signal(SIGUSR1, SIG_IGN);
}

bool StopSignals::requested() const { return stop_requested != 0; }

}  // namespace whence
