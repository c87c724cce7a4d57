#pragma once
// Rows of a trajectory on their way to a device.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "whence/device/devices.h"

namespace whence {

/// Reads a row into page-locked memory and sends it to the device, without waiting for what the device does:
/// two buffers take turns, so that a row is read while the one before is still being sent.
class ReadAhead {
 public:
  /// row(t): reads what is recorded of step t, into host memory.
  ReadAhead(std::function<at::Tensor(std::int64_t)> row, at::Device device);

  /// Reads step t, which is recorded, unless it was read last.
  void read(std::int64_t t);
  /// The optimiser's state before step t on the device; read() now, if it was not read last.
  at::Tensor take(std::int64_t t);

 private:
  struct Buffer {
    at::Tensor host;
    std::unique_ptr<DeviceMark> sent;
  };
  std::function<at::Tensor(std::int64_t)> row_of_;
  at::Device device_;
  std::array<Buffer, 2> buffers_;
  std::size_t next_ = 0;
  std::int64_t step_ = -1;
  at::Tensor row_;
};

}  // namespace whence
