#pragma once
// The double's copies under way between the host and the device.

#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>

#include <ATen/core/Tensor.h>

namespace whence::device_double {

/// Copies that the host asked for without waiting. One a process: ranks are processes.
class Queue {
 public:
  void lock_pages(const at::Tensor& host);
  bool is_page_locked(const at::Tensor& host) const;

  /// `host` is nonsense until somebody waits; then it is what `device` is now.
  void deliver_later(const at::Tensor& host, const at::Tensor& device);
  /// Until somebody waits, the host must not change page-locked memory that is being read: Error then.
  void leave_alone(const at::Tensor& host);

  std::int64_t asked() const { return first_ + static_cast<std::int64_t>(under_way_.size()); }
  /// Ends the first so many copies that were ever asked for.
  void wait_for(std::int64_t copies);
  /// Ends all, and counts.
  void wait_for_all();
  std::int64_t waits() const { return waits_; }
  /// Operations that the device was asked for, allocations and views not counted.
  void count_operation() { ++operations_; }
  std::int64_t operations() const { return operations_; }

 private:
  std::map<const char*, std::size_t> page_locked_;  // where, how many bytes
  std::deque<std::function<void()>> under_way_;
  std::int64_t first_ = 0, waits_ = 0;
  std::atomic<std::int64_t> operations_ = 0;  // autograd has threads of its own
};

Queue& queue();

}  // namespace whence::device_double
