#include "whence/comm/devices.h"

#include <cuda_runtime_api.h>

#include <c10/cuda/CUDAFunctions.h>

#include "whence/core/error.h"

namespace whence {

VisibleDevices visible_devices() {
  VisibleDevices visible;
  int count = 0;
  if (const cudaError_t result = cudaGetDeviceCount(&count); result != cudaSuccess || count == 0) {
    visible.reason = fmt::format("no GPU is visible ({}); nvidia-smi and CUDA_VISIBLE_DEVICES may tell why",
                                 result == cudaSuccess ? "CUDA found none" : cudaGetErrorString(result));
    return visible;
  }
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    if (const cudaError_t result = cudaGetDeviceProperties(&properties, device); result != cudaSuccess)
      fail("CUDA device {}: {}", device, cudaGetErrorString(result));
    visible.lines.push_back(fmt::format(
        "{}: {}, {:.0f} GiB, compute capability {}.{}", device, properties.name,
        static_cast<double>(properties.totalGlobalMem) / (1 << 30), properties.major, properties.minor));
  }
  return visible;
}

void use_cuda_device(int device) { c10::cuda::set_device(static_cast<c10::DeviceIndex>(device)); }

}  // namespace whence
