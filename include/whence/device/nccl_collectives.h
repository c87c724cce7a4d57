#pragma once
// Collectives by NCCL, and the few calls of NCCL and of the CUDA runtime that they make.

#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
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
  /// Begins to leave in order, which takes all ranks (state() tells); then release().
  virtual void begin_to_leave(void* joined) = 0;
  virtual void release(void* joined) = 0;
  /// Leaves without waiting for anybody.
  virtual void abort(void* joined) = 0;
};

/// NCCL among the ranks of a communicator. Nothing waits for ever: a rank that does not answer within
/// `patience` is an error, after which only destruction is allowed. Destruction leaves in order, or at once
/// after an error here or in a group, while an error is on its way up, or when the others do not leave.
class NcclCollectives : public DeviceCollectives {
 public:
  /// Collective: rank 0's id goes round by MPI, then all join.
  NcclCollectives(const Communicator& ranks, std::shared_ptr<NcclRuntime> runtime,
                  std::chrono::milliseconds patience)
      : NcclCollectives(ranks, std::move(runtime), patience, std::make_shared<bool>(false)) {}
  ~NcclCollectives() override;
  NcclCollectives(const NcclCollectives&) = delete;
  NcclCollectives& operator=(const NcclCollectives&) = delete;

  void sum(const std::vector<at::Tensor>& tensors) override;
  void broadcast(const std::vector<at::Tensor>& tensors) override;
  void wait_for_device() override;
  std::unique_ptr<DeviceCollectives> for_group(const Communicator& group) const override;

 private:
  NcclCollectives(const Communicator& ranks, std::shared_ptr<NcclRuntime> runtime,
                  std::chrono::milliseconds patience, std::shared_ptr<bool> broken);
  void as_one(const char* what, const std::vector<at::Tensor>& tensors,
              const std::function<void(const at::Tensor&)>& ask);
  /// The state once `done` or failed; "under way" when patience is at its end.
  NcclRuntime::State wait_for(const std::function<bool()>& done) const;
  void wait(const char* what, const std::function<bool()>& done);
  bool left_in_order() const;

  int rank_, size_;
  std::shared_ptr<NcclRuntime> runtime_;
  std::chrono::milliseconds patience_;
  void* joined_ = nullptr;
  std::shared_ptr<bool> broken_;  ///< whether an operation failed, here or in a group of these ranks
  int errors_before_ = std::uncaught_exceptions();
};

/// NCCL itself on CUDA device `device`; nothing in a build without CUDA.
std::shared_ptr<NcclRuntime> nccl_runtime(int device);

}  // namespace whence
