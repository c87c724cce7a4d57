#pragma once
// A test double of a GPU: a LibTorch device (PrivateUse1) whose memory is the host's and whose operations are
// the CPU's, linked in place of CUDA and NCCL. It refuses what a GPU would refuse, tensors of both kinds in
// one operation; it delivers copies to page-locked memory only when somebody waits for them; and it counts
// how often the host had to wait. No GPU is involved.

#include <cstdint>

namespace whence::device_double {

/// How often the host waited for all of the device's work: for a number, or for a copy that does not go
/// through page-locked memory.
std::int64_t waits();
/// Operations that the device was asked for, kernels on a GPU.
std::int64_t operations();
// With DEVICE_DOUBLE_REPORT=FILE in the environment both numbers are written to FILE.RANK at the end of the
// process.

}  // namespace whence::device_double
