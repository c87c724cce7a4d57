#pragma once
// A test double of a GPU: a LibTorch device (PrivateUse1) whose memory is the host's and whose operations are
// the CPU's, linked in place of CUDA and NCCL. It refuses what a GPU would refuse, tensors of both kinds in
// one operation; it delivers copies to page-locked memory only when somebody waits for them; and it counts
// how often the host had to wait. No GPU is involved.

#include <cstdint>

namespace whence::device_double {

/// How often the host waited for all of the device's work: for a number, or for a copy that does not go
/// through page-locked memory. With DEVICE_DOUBLE_REPORT=FILE in the environment the count is written to
/// FILE.RANK at the end of the process.
std::int64_t waits();

}  // namespace whence::device_double
