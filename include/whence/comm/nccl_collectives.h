#pragma once
// Collectives by NCCL, and the few calls of NCCL and of the CUDA runtime that they make.

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/comm/device_collectives.h"

namespace whence {

/// What NcclCollectives asks of NCCL and CUDA; nccl_runtime() gives the real one. Work goes to LibTorch's
/// current stream. Functions throw Error with NCCL's own sentence when a call fails at once.
class NcclRuntime {
 public:
  using Id = std::array<char, 128>;
  enum class State { done, under_way, failed };

  virtual ~NcclRuntime() = default;
  virtual Id new_id() = 0;
  /// Begins to join `ranks` ranks that were given the same id, without waiting for them (state() tells).
  virtual void* join(const Id& id, int ranks, int rank) = 0;
  /// Operations between the two go to the device as one.
  virtual void group_start() = 0;
  virtual void group_end() = 0;
  virtual void all_reduce(void* joined, const at::Tensor& tensor) = 0;
  virtual void broadcast(void* joined, const at::Tensor& tensor) = 0;
  /// Of what was asked for last, as far as the host can tell; an error of any rank comes up here.
  virtual State state(void* joined) = 0;
  virtual std::string reason(void* joined) = 0;
  /// Marks this place of the stream, and whether the device has come to the last mark.
  virtual void mark(void* joined) = 0;
  virtual bool reached(void* joined) = 0;
  virtual void leave(void* joined) = 0;
  /// Leaves without waiting for anybody.
  virtual void abort(void* joined) = 0;
};

/// NCCL among the ranks of a communicator. Nothing waits for ever: a rank that does not answer within
/// `patience` is an error, after which only destruction is allowed.
class NcclCollectives : public DeviceCollectives {
 public:
  /// Collective: rank 0's id goes round by MPI, then all join.
  NcclCollectives(const Communicator& ranks, std::shared_ptr<NcclRuntime> runtime,
                  std::chrono::milliseconds patience);
  ~NcclCollectives() override;
  NcclCollectives(const NcclCollectives&) = delete;
  NcclCollectives& operator=(const NcclCollectives&) = delete;

  void sum(const std::vector<at::Tensor>& tensors) override;
  void broadcast(const std::vector<at::Tensor>& tensors) override;
  void settle() override;
  std::unique_ptr<DeviceCollectives> for_group(const Communicator& group) const override;

 private:
  void as_one(const char* what, const std::vector<at::Tensor>& tensors,
              const std::function<void(const at::Tensor&)>& ask);
  void wait(const char* what, const std::function<bool()>& done);

  int rank_, size_;
  std::shared_ptr<NcclRuntime> runtime_;
  std::chrono::milliseconds patience_;
  void* joined_ = nullptr;
  bool broken_ = false;
};

/// NCCL itself on CUDA device `device`; nothing in a build without CUDA.
std::shared_ptr<NcclRuntime> nccl_runtime(int device);

}  // namespace whence
