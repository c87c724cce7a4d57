#pragma once
// Reading a recorded run.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/train/trajectory/file.h"

namespace whence {

/// Reads a finished trajectory; shapes and types are checked when it is opened, every row against its CRC-32
/// and the numbers that it may hold when it is read. Each rank opens it by itself.
class Trajectory {
 public:
  /// Error in one sentence when the file is missing, unfinished, damaged or of another schema version.
  explicit Trajectory(const std::string& path);

  std::int64_t steps() const { return steps_; }
  std::int64_t parameters() const { return sizes_.at("P"); }
  std::int64_t instances() const { return sizes_.at("N"); }
  std::int64_t batch_size() const { return sizes_.at("S"); }
  std::int64_t players() const { return sizes_.at("n"); }
  at::ScalarType dtype() const { return params_.dtype(); }
  const std::string& path() const { return file_.path(); }
  std::string attribute(const std::string& name) const { return file_.attribute(name); }
  /// Changes with any step, parameter or setting: ties results to the run they belong to.
  std::string fingerprint() const;
  const std::vector<std::int64_t>& recorded() const { return recorded_; }
  std::vector<std::int64_t> instance_ids() const;

  /// theta [P] before step t, or at the end for t = T; Error when step t is not recorded.
  at::Tensor params(std::int64_t t) const;
  /// The same on all `ranks`, collectively: each reads a part, and has the others' from them, so that the
  /// file is read once. Rows of fewer bytes than `least` are read by each rank, which is quicker.
  at::Tensor params(std::int64_t t, const Communicator& ranks, std::int64_t least = least_shared) const;
  /// Has what this rank will read for params(t, ranks) fetched from disk meanwhile; nothing for a row that
  /// each rank reads, which takes no longer than asking. Not collective.
  void prefetch(std::int64_t t, const Communicator& ranks) const;
  at::Tensor batch(std::int64_t t) const;
  /// False for an imported run, whose batches have no elements.
  bool knows_batches() const { return batch_size() > 0; }
  at::Tensor rates(std::int64_t t) const;
  /// Checks every row, and that every parameter is a finite number.
  void verify() const;

 private:
  static constexpr std::int64_t least_shared = std::int64_t{1} << 22;
  std::int64_t row_of(std::int64_t t) const;
  bool is_shared(std::int64_t least) const;
  at::Tensor checked_params(at::Tensor theta, std::int64_t row) const;
  void check_step(std::int64_t t, const at::Tensor& batch, const at::Tensor& rates) const;

  H5File file_;
  Sizes sizes_;
  H5Array params_, params_crc_, batch_, rate_, batch_crc_;
  std::int64_t steps_;
  std::vector<std::int64_t> recorded_;
  at::Tensor params_crcs_, batch_crcs_;
};

}  // namespace whence
