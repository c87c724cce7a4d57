#include "whence/comm/work_queue.h"

#include <exception>

namespace whence {
namespace {

// What a stopped queue's counter stands at, beyond every number of blocks.
constexpr std::int64_t end_of_work = std::int64_t{1} << 60;

}  // namespace

WorkQueue::WorkQueue(const Communicator& ranks, std::int64_t total) : ranks_(ranks), total_(total) {
  const MPI_Aint bytes = ranks.is_root() ? sizeof(std::int64_t) : 0;
  MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, ranks.handle(), &counter_, &window_);
  MPI_Win_lock_all(MPI_MODE_NOCHECK, window_);
  if (ranks.is_root()) {
    *counter_ = 0;
    MPI_Win_sync(window_);
  }
  ranks.barrier();
}

WorkQueue::~WorkQueue() {
  // Freeing a window is collective: after an error on this rank alone the others are not coming, and the job
  // is about to be aborted.
  if (std::uncaught_exceptions() > 0) return;
  MPI_Win_unlock_all(window_);
  MPI_Win_free(&window_);
}

std::optional<std::int64_t> WorkQueue::next() {
  const std::int64_t one = 1;
  std::int64_t taken = 0;
  MPI_Fetch_and_op(&one, &taken, MPI_INT64_T, 0, 0, MPI_SUM, window_);
  MPI_Win_flush(0, window_);
  if (taken >= total_) return std::nullopt;
  return taken;
}

void WorkQueue::progress() const {
  int flag = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ranks_.handle(), &flag, MPI_STATUS_IGNORE);
}

bool WorkQueue::stopped(const StopSignals& signals) {
  if (stopped_) return true;
  const auto now = std::chrono::steady_clock::now();
  const bool asked = signals.requested();
  if (!asked && now - looked_ < std::chrono::milliseconds(250)) return false;
  looked_ = now;
  std::int64_t before = 0;
  MPI_Fetch_and_op(&end_of_work, &before, MPI_INT64_T, 0, 0, asked ? MPI_MAX : MPI_NO_OP, window_);
  MPI_Win_flush(0, window_);
  stopped_ = asked || before >= end_of_work;
  return stopped_;
}

}  // namespace whence
