#pragma once
// Which device a rank computes on, and how the ranks' devices reach each other.

#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "whence/comm/communicator.h"

namespace whence {

/// The GPUs that this process sees, one line each ("0: NVIDIA H100, 80 GiB, compute capability 9.0").
struct VisibleDevices {
  std::vector<std::string> lines;
  std::string reason;  ///< why there are none, where there are none
};
VisibleDevices visible_devices();

/// Makes a GPU LibTorch's current device in this process.
void use_cuda_device(int device);

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
