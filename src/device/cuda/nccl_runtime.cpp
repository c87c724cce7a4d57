#include <cuda_runtime_api.h>
#include <nccl.h>

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "whence/core/error.h"
#include "whence/device/nccl_collectives.h"

namespace whence {
namespace {

static_assert(sizeof(NcclRuntime::Id) == sizeof(ncclUniqueId::internal));

// With non-blocking communicators "in progress" is an answer, not an error.
void checked(ncclResult_t result, const char* call) {
  if (result != ncclSuccess && result != ncclInProgress) fail("{}: {}", call, ncclGetErrorString(result));
}

void checked(cudaError_t result, const char* call) {
  if (result != cudaSuccess) fail("{}: {}", call, cudaGetErrorString(result));
}

ncclDataType_t type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    default:
      return ncclInt64;
  }
}

struct Joined {
  ncclComm_t comm = nullptr;
  cudaEvent_t event = nullptr;
};

class Nccl : public NcclRuntime {
 public:
  explicit Nccl(int device) : device_(static_cast<c10::DeviceIndex>(device)) {}

  Id new_id() override {
    ncclUniqueId id;
    checked(ncclGetUniqueId(&id), "ncclGetUniqueId");
    Id result;
    std::copy(std::begin(id.internal), std::end(id.internal), result.begin());
    return result;
  }

  void* join(const Id& id, int ranks, int rank) override {
    const c10::cuda::CUDAGuard guard(device_);
    ncclUniqueId unique;
    std::copy(id.begin(), id.end(), std::begin(unique.internal));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    auto joined = std::make_unique<Joined>();
    checked(cudaEventCreateWithFlags(&joined->event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    checked(ncclCommInitRankConfig(&joined->comm, ranks, unique, rank, &config), "ncclCommInitRankConfig");
    return joined.release();
  }

  void group_start() override { checked(ncclGroupStart(), "ncclGroupStart"); }
  void group_end() override { checked(ncclGroupEnd(), "ncclGroupEnd"); }

  void all_reduce(void* joined, const at::Tensor& tensor) override {
    checked(ncclAllReduce(tensor.data_ptr(), tensor.data_ptr(), tensor.numel(), type_of(tensor), ncclSum,
                          comm(joined), stream()),
            "ncclAllReduce");
  }

  void broadcast(void* joined, const at::Tensor& tensor) override {
    checked(ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), tensor.numel(), type_of(tensor), 0,
                          comm(joined), stream()),
            "ncclBroadcast");
  }

  State state(void* joined) override {
    ncclResult_t result = ncclSuccess;
    checked(ncclCommGetAsyncError(comm(joined), &result), "ncclCommGetAsyncError");
    if (result == ncclInProgress) return State::under_way;
    return result == ncclSuccess ? State::done : State::failed;
  }

  std::string reason(void* joined) override { return ncclGetLastError(comm(joined)); }

  void mark(void* joined) override {
    checked(cudaEventRecord(static_cast<Joined*>(joined)->event, stream()), "cudaEventRecord");
  }

  bool reached(void* joined) override {
    const cudaError_t result = cudaEventQuery(static_cast<Joined*>(joined)->event);
    if (result == cudaErrorNotReady) return false;
    checked(result, "cudaEventQuery");
    return true;
  }

  void begin_to_leave(void* joined) override { checked(ncclCommFinalize(comm(joined)), "ncclCommFinalize"); }

  void release(void* joined) override {
    ncclCommDestroy(comm(joined));
    forget(joined);
  }

  void abort(void* joined) override {
    ncclCommAbort(comm(joined));
    forget(joined);
  }

 private:
  static ncclComm_t comm(void* joined) { return static_cast<Joined*>(joined)->comm; }
  cudaStream_t stream() const { return c10::cuda::getCurrentCUDAStream(device_); }
  static void forget(void* joined) {
    cudaEventDestroy(static_cast<Joined*>(joined)->event);
    delete static_cast<Joined*>(joined);
  }

  c10::DeviceIndex device_;
};

}  // namespace

std::shared_ptr<NcclRuntime> nccl_runtime(int device) { return std::make_shared<Nccl>(device); }

}  // namespace whence
