#include "whence/comm/devices.h"
#include "whence/comm/nccl_collectives.h"
#include "whence/core/error.h"

namespace whence {
namespace {

const std::string without_cuda =
    "this whence was built without CUDA (README, 'On GPUs', says how to build it with)";

}  // namespace

VisibleDevices visible_devices() { return {{}, without_cuda}; }

void use_cuda_device(int) { fail("{}", without_cuda); }

std::shared_ptr<NcclRuntime> nccl_runtime(int) { fail("{}", without_cuda); }

}  // namespace whence
