#include "whence/comm/nccl_collectives.h"

#include <thread>

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
                                 std::chrono::milliseconds patience)
    : rank_(ranks.rank()), size_(ranks.size()), runtime_(std::move(runtime)), patience_(patience) {
  NcclRuntime::Id id{};
  ranks.on_root([&] { id = runtime_->new_id(); });
  const std::string sent = ranks.broadcast(std::string(id.begin(), id.end()));
  std::copy(sent.begin(), sent.end(), id.begin());
  // All ranks must join at the same time, but none may be left waiting for one that failed.
  try {
    ranks.together([&] {
      joined_ = runtime_->join(id, size_, rank_);
      wait("joining", [] { return true; });
    });
  } catch (...) {
    if (joined_ != nullptr) runtime_->abort(joined_);
    throw;
  }
}

NcclCollectives::~NcclCollectives() {
  if (broken_)
    runtime_->abort(joined_);
  else
    runtime_->leave(joined_);
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
  if (broken_) fail("NCCL: {} after an operation that failed", what);
  if (size_ == 1 || tensors.empty()) return;
  runtime_->group_start();
  for (const at::Tensor& tensor : tensors) ask(tensor);
  runtime_->group_end();
  // Until NCCL has put it on the stream; the stream itself goes on without the host.
  wait(what, [] { return true; });
}

void NcclCollectives::settle() {
  if (broken_) fail("NCCL: waiting after an operation that failed");
  runtime_->mark(joined_);
  wait("the device", [this] { return runtime_->reached(joined_); });
}

// An error of another rank shows only here, and a rank that is gone shows as nothing at all.
void NcclCollectives::wait(const char* what, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + patience_;
  while (true) {
    const NcclRuntime::State state = runtime_->state(joined_);
    if (state == NcclRuntime::State::done && done()) return;
    if (state == NcclRuntime::State::failed) {
      broken_ = true;
      fail("NCCL: {} failed on rank {} of {}: {}", what, rank_, size_, runtime_->reason(joined_));
    }
    if (std::chrono::steady_clock::now() > end) {
      broken_ = true;
      fail("NCCL: {} did not end within {} s on rank {} of {}; another rank may be gone", what,
           static_cast<double>(patience_.count()) / 1000, rank_, size_);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

std::unique_ptr<DeviceCollectives> NcclCollectives::for_group(const Communicator& group) const {
  return std::make_unique<NcclCollectives>(group, runtime_, patience_);
}

}  // namespace whence
