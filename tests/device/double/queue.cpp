#include "queue.h"

#include <ATen/ATen.h>

#include "whence/core/error.h"

namespace whence::device_double {

void Queue::lock_pages(const at::Tensor& host) {
  page_locked_[static_cast<const char*>(host.data_ptr())] = host.nbytes();
}

bool Queue::is_page_locked(const at::Tensor& host) const {
  const auto* place = static_cast<const char*>(host.data_ptr());
  const auto after = page_locked_.upper_bound(place);
  if (after == page_locked_.begin()) return false;
  const auto [begin, bytes] = *std::prev(after);
  return place < begin + bytes;
}

void Queue::deliver_later(const at::Tensor& host, const at::Tensor& device) {
  const at::Tensor now = device.clone();
  host.fill_(-1e30);
  under_way_.push_back([host, now] { host.copy_(now); });
}

void Queue::leave_alone(const at::Tensor& host) {
  if (!is_page_locked(host)) return;
  under_way_.push_back([host, now = host.clone()] {
    if (std::memcmp(host.contiguous().data_ptr(), now.data_ptr(), now.nbytes()) != 0)
      fail("the double of a device: the host wrote to memory while the device was reading it");
  });
}

void Queue::wait_for(std::int64_t copies) {
  for (; first_ < copies; ++first_) {
    const auto copy = std::move(under_way_.front());
    under_way_.pop_front();
    copy();
  }
}

void Queue::wait_for_all() {
  ++waits_;
  wait_for(asked());
}

Queue& queue() {
  static Queue only;
  return only;
}

}  // namespace whence::device_double
