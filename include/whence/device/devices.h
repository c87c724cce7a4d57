#pragma once
// Which device a rank computes on, and how the ranks' devices reach each other.

#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"

namespace whence {

/// The GPUs that this process sees, one line each ("0: NVIDIA H100, 80 GiB, compute capability 9.0").
struct VisibleDevices {
  std::vector<std::string> lines;
  std::string reason;  ///< why there are none, where there are none
};
VisibleDevices visible_devices();

/// From now on operations on the device use only algorithms whose results are the same bits every time. To be
/// called before the first of them. On the CPU all of Whence's are.
void use_deterministic_algorithms(at::Device device);

/// Host memory that `device` can copy to and from while the host goes on: page-locked for a GPU, ordinary for
/// the CPU. Uninitialised.
at::Tensor staging_buffer(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device);

/// A place in the work that a device was asked for.
class DeviceMark {
 public:
  virtual ~DeviceMark() = default;
  /// Puts the mark behind all that was asked for so far.
  virtual void set() = 0;
  /// Waits until the device has come to the mark; does not wait where it was never set.
  virtual void wait() = 0;
};

/// A mark on the device; on the CPU, which is done when a call returns, it never waits.
std::unique_ptr<DeviceMark> device_mark(at::Device device);

/// The GPU of a rank among the `local_ranks` of its node. UsageError with more ranks than GPUs, unless they
/// may share.
int device_of(int local_rank, int local_ranks, int devices, bool share);

/// Collective. Where this rank computes, by --device ("cpu", or "cuda": one GPU a rank, by local rank) and
/// --share-gpu. With "cuda" LibTorch's current device is set, and `world` can add and copy tensors on it:
/// through NCCL, or through MPI and host memory where ranks share. UsageError naming what is missing.
at::Device join_devices(const std::string& kind, bool share, Communicator& world);

/// Waits that no NCCL operation may exceed.
constexpr int nccl_patience_seconds = 600;

}  // namespace whence
