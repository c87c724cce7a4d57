#pragma once
// Work on a device that is asked for again and again as one launch.

#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

namespace whence {

/// Operations on a device that were recorded once (a CUDA graph).
class RecordedWork {
 public:
  virtual ~RecordedWork() = default;
  /// Asks the device for the same operations on the same memory again, in place of asking for each.
  virtual void again() = 0;
};

/// Makes recordings that share their memory: what one left in tensors of its own is lost when another is
/// asked for again.
class WorkRecorder {
 public:
  virtual ~WorkRecorder() = default;
  /// Records what `work` asks of LibTorch's current device; calls it several times, the first ones for what
  /// libraries set up on first use. `work` has to ask for the same operations at each call, on memory that
  /// lives as long as the recording, and must not wait for the device. The tensors that its last call made
  /// hold the results of each again(). Error where it cannot be recorded.
  virtual std::unique_ptr<RecordedWork> record(const std::function<void()>& work) = 0;
};

/// For LibTorch's current device, which is no CPU.
std::unique_ptr<WorkRecorder> work_recorder();

}  // namespace whence
