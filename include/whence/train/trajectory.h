#pragma once
// The recorded run: A[t] = (S, Z, B, theta) of every step (Terashita et al., algorithm 1).
//
// trajectory.h5, schema "whence.trajectory" version 1 (T steps, P parameters, |S| batch, n players, M
// recorded):
//   steps      [M]      int64   which step each row of params is (ascending; the last is T)
//   params     [M, P]           theta before that step; T: at the end
//   params_crc [M]      int32   CRC-32 of each row (its bits)
//   batch      [T,|S|]  int64   positions in the training set
//   rate       [T, n]   float64 learning rate of each player
//   batch_crc  [T]      int32   CRC-32 of a step's batch and rate rows
//   instance_id[N]      int64   id in the data source of each position
//   committed  [1]      int64   steps safely on disk; T when finished
//   state      [2, P], state_step [2], state_crc [2]: theta of the committed step, in one of two places,
//   where
//              params does not have it; step 0 and zeros when finished
// Latents are regenerated from their stream. While training goes on the file is called trajectory.h5.part.

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/comm/devices.h"
#include "whence/comm/partition.h"
#include "whence/io/artifact.h"

namespace whence {

inline const Schema trajectory_schema{"whence.trajectory", 1};

/// What is known of a run before its first step.
struct TrajectoryPlan {
  Attributes attributes;  ///< settings, seed, data fingerprint, layout
  std::int64_t steps, parameters, batch, players;
  at::ScalarType dtype;
  std::vector<std::int64_t> recorded;      ///< see recorded_steps()
  std::vector<std::int64_t> instance_ids;  ///< [N]

  /// Bytes of the finished file, up to a few kB.
  std::int64_t bytes() const;
};

/// Writes a trajectory in parallel, each rank its own slice of the parameter axis, in blocks of steps. A
/// block counts (`committed`) once it is on every rank's disk; flushing it overlaps the steps of the next
/// block. From a device, rows are copied through page-locked memory without waiting, and a block is written
/// while the device takes the steps of the next one. A job killed at any moment leaves a file that opens and
/// holds every committed step.
class TrajectoryWriter {
 public:
  static constexpr std::int64_t block = 64;

  /// Creates `path`.part, or goes on with the one that is there; Error naming the file when that one belongs
  /// to a run with other settings or data. Collective.
  TrajectoryWriter(const std::string& path, const TrajectoryPlan& plan, const Communicator& ranks,
                   at::Device device = at::kCPU);
  ~TrajectoryWriter();

  /// The step to go on from, and theta [P] there, on the CPU; 0 and undefined for a new file.
  std::int64_t first_step() const { return first_step_; }
  const at::Tensor& first_params() const { return first_params_; }

  /// Step t as taken from theta [P]. Collective, in order of t.
  void record(std::int64_t t, const at::Tensor& params, const at::Tensor& batch, const at::Tensor& rates);
  /// Leaves off before step t, which is neither recorded nor taken: commits everything up to there and closes
  /// the file, for the next TrajectoryWriter to go on from. Collective.
  void suspend(std::int64_t t, const at::Tensor& params);
  /// The end of the run: commits everything and gives the file its name. Collective.
  void finish(const at::Tensor& params);

 private:
  void create(const std::string& part);
  void resume(const std::string& part);
  // Steps that have not been written yet.
  struct Block {
    std::int64_t begin = 0, end = 0, first_row = 0, row_count = 0;
    at::Tensor rows;                         // [block + 1, slice], this rank's slices
    std::vector<std::uint64_t> row_crcs;     // of those, as far as they are known
    at::Tensor state;                        // [P], what was there at `end` where no row has it; rank 0
    std::vector<at::Tensor> batches, rates;  // of the steps, kept by rank 0
    std::unique_ptr<DeviceMark> copied;      // when the device has copied all of it
  };
  void keep(std::int64_t t, const at::Tensor& params);
  void end_block(std::int64_t end, const at::Tensor& params);
  void write(Block& block);
  void write_rows(Block& block);
  void commit_pending();
  void write_all();
  void write_state(std::int64_t slot, std::int64_t step, const at::Tensor& params);
  void close();

  std::string path_;
  TrajectoryPlan plan_;
  Communicator ranks_;
  Range slice_;
  std::unique_ptr<H5File> file_;
  std::vector<H5Array> arrays_;
  int descriptor_ = -1;
  std::int64_t first_step_ = 0;
  at::Tensor first_params_;

  at::Device device_;
  Block filling_, full_;  // full_: only on a device, until the next block is full
  std::int64_t pending_commit_ = -1;
  std::size_t next_row_ = 0;
  std::int64_t free_slot_ = 0;  // of the two states: the one that the committed step does not need
  std::future<int> flush_;
};

/// Reads a finished trajectory; every row is checked against its CRC-32. Each rank opens it by itself.
class Trajectory {
 public:
  /// Error in one sentence when the file is missing, unfinished, damaged or of another schema version.
  explicit Trajectory(const std::string& path);

  std::int64_t steps() const { return steps_; }
  std::int64_t parameters() const { return params_.shape()[1]; }
  const std::string& path() const { return file_.path(); }
  std::string attribute(const std::string& name) const { return file_.attribute(name); }
  /// Changes with any step, parameter or setting: ties results to the run they belong to.
  std::string fingerprint() const;
  const std::vector<std::int64_t>& recorded() const { return recorded_; }
  std::vector<std::int64_t> instance_ids() const;

  /// theta [P] before step t, or at the end for t = T; Error when step t is not recorded.
  at::Tensor params(std::int64_t t) const;
  /// The last recorded step that is not after t; Error when there is none.
  std::int64_t recorded_before(std::int64_t t) const;
  at::Tensor batch(std::int64_t t) const;
  /// False for an imported run, whose batches have no elements.
  bool knows_batches() const { return batch_.shape()[1] > 0; }
  at::Tensor rates(std::int64_t t) const;
  /// Checks every row.
  void verify() const;

 private:
  void check_step(std::int64_t t, const at::Tensor& batch, const at::Tensor& rates) const;

  H5File file_;
  H5Array params_, params_crc_, batch_, rate_, batch_crc_;
  std::int64_t steps_;
  std::vector<std::int64_t> recorded_;
  at::Tensor params_crcs_, batch_crcs_;
};

}  // namespace whence
