#include "whence/core/error.h"
#include "whence/device/backend.h"
#include "whence/device/nccl_collectives.h"
#include "whence/device/recorded_work.h"

namespace whence {
namespace {

const std::string without_cuda =
    "this whence was built without CUDA (src/device/README.md says how to build it with)";

}  // namespace

VisibleDevices device_backend::visible() { return {{}, without_cuda}; }

at::Device device_backend::use(int) { fail("{}", without_cuda); }

void device_backend::use_deterministic_algorithms() { fail("{}", without_cuda); }

at::Tensor device_backend::page_locked(at::IntArrayRef, at::ScalarType) { fail("{}", without_cuda); }

std::unique_ptr<DeviceMark> device_backend::mark() { fail("{}", without_cuda); }

std::unique_ptr<WorkRecorder> work_recorder() { fail("{}", without_cuda); }

std::shared_ptr<NcclRuntime> nccl_runtime(int) { fail("{}", without_cuda); }

}  // namespace whence
