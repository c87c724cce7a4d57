#include "whence/comm/speaker.h"

#include <chrono>

namespace whence {
namespace {

constexpr std::chrono::seconds patience{2};

// Whether an operation of MPI is done before patience ends.
bool done_in_time(MPI_Request request) {
  const auto begin = std::chrono::steady_clock::now();
  for (int done = 0; std::chrono::steady_clock::now() - begin < patience;) {
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (done != 0) return true;
  }
  return false;
}

}  // namespace

Speaker::Speaker(const Communicator& ranks) {
  if (ranks.size() == 1) return;
  // A communicator of its own, whose errors are told to the caller: an MPI without one-sided operations is no
  // reason to end.
  MPI_Comm_dup(ranks.handle(), &own_);
  MPI_Comm_set_errhandler(own_, MPI_ERRORS_RETURN);
  std::int64_t* taken = nullptr;
  const MPI_Aint bytes = ranks.is_root() ? sizeof(std::int64_t) : 0;
  if (MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, own_, &taken, &window_) != MPI_SUCCESS) {
    window_ = MPI_WIN_NULL;
    return;
  }
  MPI_Win_set_errhandler(window_, MPI_ERRORS_RETURN);
  MPI_Win_lock_all(MPI_MODE_NOCHECK, window_);
  if (ranks.is_root()) {
    *taken = 0;
    MPI_Win_sync(window_);
  }
  MPI_Barrier(own_);
}

Speaker::~Speaker() {
  if (own_ == MPI_COMM_NULL) return;
  if (window_ != MPI_WIN_NULL) {
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
  }
  MPI_Comm_free(&own_);
}

bool Speaker::claim() {
  if (window_ == MPI_WIN_NULL) return true;
  const std::int64_t one = 1;
  std::int64_t before = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  const int asked = MPI_Rget_accumulate(&one, 1, MPI_INT64_T, &before, 1, MPI_INT64_T, 0, 0, 1, MPI_INT64_T,
                                        MPI_SUM, window_, &request);
  return asked != MPI_SUCCESS || !done_in_time(request) || before == 0;
}

}  // namespace whence
