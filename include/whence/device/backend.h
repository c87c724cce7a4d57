#pragma once
// What devices.h asks of CUDA, all in one place: a build without CUDA links one that has no devices.

#include <memory>

#include "whence/device/devices.h"

namespace whence::device_backend {

VisibleDevices visible();
/// The device of that number as LibTorch's current one, with float32 products in full precision (no TF32).
at::Device use(int device);
void use_deterministic_algorithms();
/// Uninitialised page-locked host memory.
at::Tensor page_locked(at::IntArrayRef sizes, at::ScalarType dtype);
std::unique_ptr<DeviceMark> mark();

}  // namespace whence::device_backend
