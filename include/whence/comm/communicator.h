#pragma once
// Ranks that work together, and the few collective operations Whence needs.

#include <cstdint>
#include <functional>
#include <memory>
#include <mpi.h>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/device_collectives.h"
#include "whence/core/error.h"

namespace whence {

/// A UsageError that every rank of the job has: Communicator::together threw it on all of them.
class SharedUsageError : public UsageError {
 public:
  using UsageError::UsageError;
};

/// Any other Error that every rank has in the same way.
class SharedError : public Error {
 public:
  using Error::Error;
};

/// This process in a message: "rank 1 (node7)", its rank in the whole job and its host.
std::string rank_and_host();

/// A group of ranks. Copies share the underlying MPI communicator. Every member function but rank() and
/// size() is collective: all ranks of the group must call it, in the same order. MPI's own errors are fatal
/// for all ranks (MPI's default handler), so no function returns after a failed operation.
class Communicator {
 public:
  /// Wraps a communicator that outlives this object (MPI_COMM_WORLD). No message has more than `piece` bytes.
  explicit Communicator(MPI_Comm borrowed, std::int64_t piece = std::int64_t{1} << 30);

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  MPI_Comm handle() const { return *comm_; }

  /// Ranks of this group with equal `color`, ordered by their rank here.
  Communicator split(int color) const;

  void barrier() const;
  /// From now on sum() and broadcast() of tensors that are not in host memory go this way, also in groups
  /// that are split off.
  void attach(std::shared_ptr<DeviceCollectives> devices) { devices_ = std::move(devices); }

  /// Adds `tensor` (contiguous, float32, float64 or int64) over all ranks, in place. Every rank gets the same
  /// bits. On a device it may return before the sum is there, for what comes later on the same stream.
  void sum(at::Tensor& tensor) const;
  /// The same for several, of one dtype in one operation.
  void sum(std::vector<at::Tensor>& tensors) const;
  /// Puts `whole` [n] (contiguous, in host memory) together on every rank: rank r has elements part_of(n,
  /// size(), r) of it.
  void gather_parts(at::Tensor& whole) const;
  /// Waits until this rank's device has done all sums and broadcasts that it was asked for. Error when one of
  /// them failed on any rank or took too long: to be called before the host waits for the device otherwise,
  /// since such a wait has no end.
  void wait_for_device() const;
  std::int64_t sum(std::int64_t value) const;
  std::int64_t min(std::int64_t value) const;
  double max(double value) const;
  /// Rank 0's value on every rank.
  void broadcast(at::Tensor& tensor) const;
  std::string broadcast(const std::string& text, int from = 0) const;
  std::int64_t broadcast(std::int64_t value) const;
  /// Each rank's values on rank 0, one vector a rank; empty elsewhere. Counts may differ.
  std::vector<std::vector<std::uint64_t>> gather(const std::vector<std::uint64_t>& values) const;

  /// Runs `work` on every rank and waits for all. If it throws anywhere, every rank throws the error of the
  /// lowest such rank (a UsageError as SharedUsageError, any other as SharedError), so that no rank is left
  /// waiting in a later collective. The message begins with that rank and its host, unless all ranks failed
  /// with the same one. `work` itself must not communicate.
  void on_every_rank(const std::function<void()>& work) const;
  /// The same for work that only rank 0 does, whose UsageErrors do not name it: they are about options.
  void on_root(const std::function<void()>& work) const;

 private:
  enum class Who { everyone, root };
  void share_errors(const std::function<void()>& work, Who who) const;

  std::shared_ptr<MPI_Comm> comm_;
  std::shared_ptr<DeviceCollectives> devices_;
  int rank_ = 0, size_ = 1;
  std::int64_t piece_;
};

}  // namespace whence
