#include "whence/device/nccl_collectives.h"

#include <thread>
#include <utility>

#include "whence/core/error.h"

namespace whence {
namespace {

void check(const std::vector<at::Tensor>& tensors) {
  for (const at::Tensor& tensor : tensors) {
    TORCH_CHECK(tensor.is_contiguous(), "NCCL needs contiguous tensors");
    const at::ScalarType type = tensor.scalar_type();
    if (type != at::kFloat && type != at::kDouble && type != at::kLong)
      fail("NCCL: tensors of {} are not supported", at::toString(type));
  }
}

}  // namespace

NcclCollectives::NcclCollectives(const Communicator& ranks, std::shared_ptr<NcclRuntime> runtime,
                                 std::chrono::milliseconds patience, std::shared_ptr<bool> broken)
    : rank_(ranks.rank()),
      size_(ranks.size()),
      runtime_(std::move(runtime)),
      patience_(patience),
      broken_(std::move(broken)) {
  NcclRuntime::Id id{};
  ranks.on_root([&] { id = runtime_->new_id(); });
  const std::string sent = ranks.broadcast(std::string(id.begin(), id.end()));
  std::copy(sent.begin(), sent.end(), id.begin());
  // All ranks must join at the same time, but none may be left waiting for one that failed.
  try {
    ranks.on_every_rank([&] {
      joined_ = runtime_->join(id, size_, rank_);
      wait("joining", [] { return true; });
    });
  } catch (...) {
    if (joined_ != nullptr) runtime_->abort(joined_);
    throw;
  }
}

NcclCollectives::~NcclCollectives() {
  // An error that is on its way up is told once everything is destroyed: it must not wait for other ranks.
  const bool in_order = !*broken_ && std::uncaught_exceptions() <= errors_before_ && left_in_order();
  if (in_order)
    runtime_->release(joined_);
  else
    runtime_->abort(joined_);
}

bool NcclCollectives::left_in_order() const {
  try {
    runtime_->begin_to_leave(joined_);
    return wait_for([] { return true; }) == NcclRuntime::State::done;
  } catch (const std::exception&) {
    return false;
  }
}

void NcclCollectives::sum(const std::vector<at::Tensor>& tensors) {
  as_one("a sum", tensors, [this](const at::Tensor& tensor) { runtime_->all_reduce(joined_, tensor); });
}

void NcclCollectives::broadcast(const std::vector<at::Tensor>& tensors) {
  as_one("a broadcast", tensors, [this](const at::Tensor& tensor) { runtime_->broadcast(joined_, tensor); });
}

void NcclCollectives::as_one(const char* what, const std::vector<at::Tensor>& tensors,
                             const std::function<void(const at::Tensor&)>& ask) {
  check(tensors);
  if (*broken_) fail("NCCL: {} after an operation that failed", what);
  if (size_ == 1 || tensors.empty()) return;
  runtime_->group_start();
  for (const at::Tensor& tensor : tensors) ask(tensor);
  runtime_->group_end();
  // Until NCCL has put it on the stream; the stream itself goes on without the host.
  wait(what, [] { return true; });
}

void NcclCollectives::wait_for_device() {
  if (*broken_) fail("NCCL: waiting after an operation that failed");
  runtime_->mark(joined_);
  wait("the device", [this] { return runtime_->reached(joined_); });
}

// An error of another rank shows only here, and a rank that is gone shows as nothing at all.
NcclRuntime::State NcclCollectives::wait_for(const std::function<bool()>& done) const {
  const auto end = std::chrono::steady_clock::now() + patience_;
  while (true) {
    const NcclRuntime::State state = runtime_->state(joined_);
    if (state == NcclRuntime::State::failed || (state == NcclRuntime::State::done && done())) return state;
    if (std::chrono::steady_clock::now() > end) return NcclRuntime::State::under_way;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

void NcclCollectives::wait(const char* what, const std::function<bool()>& done) {
  const NcclRuntime::State state = wait_for(done);
  if (state == NcclRuntime::State::done) return;
  *broken_ = true;
  if (state == NcclRuntime::State::failed)
    fail("NCCL: {} failed on rank {} of {}: {}", what, rank_, size_, runtime_->reason(joined_));
  fail("NCCL: {} did not end within {} s on rank {} of {}; another rank may be gone", what,
       static_cast<double>(patience_.count()) / 1000, rank_, size_);
}

std::unique_ptr<DeviceCollectives> NcclCollectives::for_group(const Communicator& group) const {
  return std::unique_ptr<DeviceCollectives>(new NcclCollectives(group, runtime_, patience_, broken_));
}

}  // namespace whence
