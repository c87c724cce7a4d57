#include "whence/device/backend.h"

#include <cstdlib>
#include <cuda_runtime_api.h>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAFunctions.h>

#include "whence/core/error.h"

namespace whence::device_backend {
namespace {

class CudaMark : public DeviceMark {
 public:
  void set() override { event_.record(); }
  void wait() override { event_.synchronize(); }

 private:
  at::cuda::CUDAEvent event_;
};

}  // namespace

VisibleDevices visible() {
  VisibleDevices found;
  int count = 0;
  if (const cudaError_t result = cudaGetDeviceCount(&count); result != cudaSuccess || count == 0) {
    found.reason = fmt::format("no GPU is visible ({}); nvidia-smi and CUDA_VISIBLE_DEVICES may tell why",
                               result == cudaSuccess ? "CUDA found none" : cudaGetErrorString(result));
    return found;
  }
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    if (const cudaError_t result = cudaGetDeviceProperties(&properties, device); result != cudaSuccess)
      fail("CUDA device {}: {}", device, cudaGetErrorString(result));
    found.lines.push_back(fmt::format("{}: {}, {:.0f} GiB, compute capability {}.{}", device, properties.name,
                                      static_cast<double>(properties.totalGlobalMem) / (1 << 30),
                                      properties.major, properties.minor));
  }
  return found;
}

at::Device use(int device) {
  const auto index = static_cast<c10::DeviceIndex>(device);
  c10::cuda::set_device(index);
  // LibTorch's default lets convolutions round float32 to 10 bits.
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  return {at::kCUDA, index};
}

void use_deterministic_algorithms() {
  // cuBLAS reads it when its first handle is made, and LibTorch refuses to go on without it.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  // Nothing here reads memory before it is written.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

at::Tensor page_locked(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::empty(sizes, at::TensorOptions().dtype(dtype).pinned_memory(true));
}

std::unique_ptr<DeviceMark> mark() { return std::make_unique<CudaMark>(); }

}  // namespace whence::device_backend
