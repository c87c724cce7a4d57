#pragma once
// Collective operations on tensors that live on devices.

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

class Communicator;

/// Adds and copies device tensors over the ranks of one communicator. Every call is collective, in the same
/// order on all ranks, and may return before the device has done the work; wait_for_device() waits for it.
class DeviceCollectives {
 public:
  virtual ~DeviceCollectives() = default;

  /// Adds each tensor (contiguous; float32, float64 or int64) over all ranks, in place, all of them in one
  /// operation.
  virtual void sum(const std::vector<at::Tensor>& tensors) = 0;
  /// Rank 0's values on every rank.
  virtual void broadcast(const std::vector<at::Tensor>& tensors) = 0;
  /// Waits until the device has done all that was asked for. Error when an operation failed or did not end in
  /// time.
  virtual void wait_for_device() = 0;
  /// The same for the ranks of `group`, a part of these.
  virtual std::unique_ptr<DeviceCollectives> for_group(const Communicator& group) const = 0;
};

}  // namespace whence
