#include "whence/train/trajectory/read_ahead.h"

#include <utility>

namespace whence {

ReadAhead::ReadAhead(std::function<at::Tensor(std::int64_t)> row, at::Device device)
    : row_of_(std::move(row)), device_(device) {}

void ReadAhead::read(std::int64_t t) {
  if (t == step_) return;
  const at::Tensor row = row_of_(t);
  Buffer& buffer = buffers_[next_];
  if (!buffer.host.defined()) {
    buffer.host = staging_buffer(row.sizes(), row.scalar_type(), device_);
    buffer.sent = device_mark(device_);
  }
  buffer.sent->wait();
  buffer.host.copy_(row);
  row_ = buffer.host.to(device_, row.scalar_type(), /*non_blocking=*/true);
  buffer.sent->set();
  step_ = t;
  next_ = 1 - next_;
}

at::Tensor ReadAhead::take(std::int64_t t) {
  read(t);
  return row_;
}

}  // namespace whence
