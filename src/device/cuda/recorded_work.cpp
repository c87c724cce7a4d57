#include "whence/device/recorded_work.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "whence/core/error.h"

namespace whence {
namespace {

constexpr int calls_before = 3;

class CudaGraph : public RecordedWork {
 public:
  // Recording needs a stream of its own; what is asked for before and after waits for it, and it for them.
  CudaGraph(const std::function<void()>& work, c10::MempoolId_t memory) {
    const at::cuda::CUDAStream here = at::cuda::getCurrentCUDAStream(), aside = at::cuda::getStreamFromPool();
    at::cuda::CUDAEvent before, after;
    before.record(here);
    before.block(aside);
    {
      const c10::cuda::CUDAStreamGuard guard(aside);
      for (int call = 0; call < calls_before; ++call) work();
      aside.synchronize();
      record(work, memory);
      after.record(aside);
    }
    after.block(here);
  }

  void again() override { graph_.replay(); }

 private:
  void record(const std::function<void()>& work, c10::MempoolId_t memory) {
    graph_.capture_begin(memory);
    try {
      work();
    } catch (...) {
      // The stream has to leave its recording, whatever of it is left.
      try {
        graph_.capture_end();
      } catch (const c10::Error&) {
      }
      throw;
    }
    graph_.capture_end();
  }

  at::cuda::CUDAGraph graph_;
};

class CudaRecorder : public WorkRecorder {
 public:
  std::unique_ptr<RecordedWork> record(const std::function<void()>& work) override {
    try {
      return std::make_unique<CudaGraph>(work, memory_);
    } catch (const c10::Error& error) {
      fail("the device's work cannot be recorded: {}", error.what_without_backtrace());
    }
  }

 private:
  c10::MempoolId_t memory_ = at::cuda::graph_pool_handle();
};

}  // namespace

std::unique_ptr<WorkRecorder> work_recorder() { return std::make_unique<CudaRecorder>(); }

}  // namespace whence
