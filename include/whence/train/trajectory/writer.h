#pragma once
// Recording a run while it is trained.

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/comm/partition.h"
#include "whence/device/devices.h"
#include "whence/train/trajectory/file.h"

namespace whence {

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

  /// Recorded rows that one of so many ranks holds: those of `block` steps, or fewer that stay within
  /// `row_memory` (at least 2), with which a block then ends.
  static std::int64_t rows_together(const TrajectoryPlan& plan, int ranks);
  static constexpr std::int64_t row_memory = std::int64_t{1} << 28;
  /// Bytes that a writer on one of so many ranks holds at once.
  static std::int64_t memory(const TrajectoryPlan& plan, int ranks, at::Device device);

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
  void check_begun(const std::string& part) const;
  void resume(const std::string& part);
  // Steps that have not been written yet.
  struct Block {
    std::int64_t begin = 0, end = 0, first_row = 0, row_count = 0;
    at::Tensor rows;                         // [most_rows_, slice], this rank's slices
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
  std::int64_t most_rows_;  // rows_together()
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

}  // namespace whence
