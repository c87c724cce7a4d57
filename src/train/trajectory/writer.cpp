#include "whence/train/trajectory/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/io/checksum.h"
#include "whence/io/shared_folder.h"
#include "whence/train/settings_defaults.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// Positions in TrajectoryWriter::arrays_.
enum Arrays { steps, params, params_crc, batch, rate, batch_crc, state, state_step, state_crc, committed };

at::Tensor as_crc(const std::vector<std::uint32_t>& values) {
  at::Tensor result = at::empty({static_cast<std::int64_t>(values.size())}, at::kInt);
  std::memcpy(result.data_ptr(), values.data(), values.size() * sizeof(std::uint32_t));
  return result;
}

std::int64_t element_of(const TrajectoryPlan& plan) { return plan.dtype == at::kFloat ? 4 : 8; }

std::int64_t row_bytes(const TrajectoryPlan& plan, int ranks) {
  return (plan.parameters + ranks - 1) / ranks * element_of(plan);
}

// The most recorded rows that a block of so many steps has, with those at both its ends.
std::int64_t most_rows(const TrajectoryPlan& plan, std::int64_t steps) {
  const auto recorded = static_cast<std::int64_t>(plan.recorded.size());
  std::int64_t rows = 0;
  for (std::int64_t begin = 0, end = 0; end < recorded; ++end) {
    while (plan.recorded[begin] + steps < plan.recorded[end]) ++begin;
    rows = std::max(rows, end - begin + 1);
  }
  return rows;
}

at::Tensor one(std::int64_t value) { return at::tensor({value}, at::kLong); }

}  // namespace

std::int64_t TrajectoryPlan::bytes() const {
  const std::int64_t element = dtype == at::kFloat ? 4 : 8, rows = static_cast<std::int64_t>(recorded.size());
  return (rows + 2) * (parameters * element + 12) + steps * (8 * batch + 8 * players + 4) +
         8 * static_cast<std::int64_t>(instance_ids.size());
}

TrajectoryWriter::TrajectoryWriter(const std::string& path, const TrajectoryPlan& plan,
                                   const Communicator& ranks, at::Device device)
    : path_(path),
      plan_(plan),
      ranks_(ranks),
      slice_(part_of(plan.parameters, ranks.size(), ranks.rank())),
      most_rows_(rows_together(plan, ranks.size())),
      device_(device) {
  const std::string part = path + ".part";
  check_shared_folder(fs::path(part).parent_path().string(), ranks_);
  bool exists = false;
  ranks_.on_root([&] { exists = fs::exists(part); });
  if (ranks_.broadcast(static_cast<std::int64_t>(exists)) == 0) create(part);
  ranks_.on_root([&] { check_begun(part); });
  file_ = std::make_unique<H5File>(H5File::open_to_write(part, ranks_));
  for (const char* name : {"steps", "params", "params_crc", "batch", "rate", "batch_crc", "state",
                           "state_step", "state_crc", "committed"})
    arrays_.push_back(file_->array(name));
  ranks_.on_every_rank([&] {
    descriptor_ = ::open(part.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor_ < 0) fail("{}: cannot open it ({})", part, std::strerror(errno));
  });
  // One rank reads where to go on: what others see of the file may be older.
  ranks_.on_root([&] { resume(part); });
  first_step_ = ranks_.broadcast(first_step_);
  free_slot_ = ranks_.broadcast(free_slot_);
  filling_.begin = filling_.end = first_step_;
  const auto& recorded = plan_.recorded;
  next_row_ = static_cast<std::size_t>(std::lower_bound(recorded.begin(), recorded.end(), first_step_) -
                                       recorded.begin());
  if (first_step_ == 0) return;
  if (!ranks_.is_root()) first_params_ = at::empty({plan_.parameters}, plan_.dtype);
  ranks_.broadcast(first_params_);
}

std::int64_t TrajectoryWriter::rows_together(const TrajectoryPlan& plan, int ranks) {
  const std::int64_t fit = row_memory / std::max<std::int64_t>(1, row_bytes(plan, ranks));
  return std::min(std::max<std::int64_t>(fit, 2), most_rows(plan, block));
}

std::int64_t TrajectoryWriter::memory(const TrajectoryPlan& plan, int ranks, at::Device device) {
  constexpr std::int64_t states = 2;
  const std::int64_t blocks = device.is_cpu() ? 1 : 2;
  return blocks * (rows_together(plan, ranks) * row_bytes(plan, ranks) +
                   states * plan.parameters * element_of(plan)) +
         blocks * block * 8 * 2 * plan.batch;
}

TrajectoryWriter::~TrajectoryWriter() {
  if (flush_.valid()) flush_.wait();
  if (descriptor_ >= 0) ::close(descriptor_);
  if (file_ != nullptr) {
    // Not finished: an error is on its way up. Closing a parallel file is collective, and the other ranks may
    // not be coming, so its handles are left to the end of the process.
    (void)file_.release();
    new std::vector<H5Array>(std::move(arrays_));
  }
}

void TrajectoryWriter::create(const std::string& part) {
  const std::string fresh = path_ + ".new";
  const auto rows = static_cast<std::int64_t>(plan_.recorded.size());
  {
    const H5File file = H5File::create(fresh, ranks_);
    describe(file, trajectory_schema, plan_.attributes);
    const H5Array step_numbers = file.create_array("steps", at::kLong, {rows}, Fill::sparse);
    const H5Array ids = file.create_array(
        "instance_id", at::kLong, {static_cast<std::int64_t>(plan_.instance_ids.size())}, Fill::sparse);
    file.create_array("params", plan_.dtype, {rows, plan_.parameters}, Fill::sparse);
    file.create_array("params_crc", at::kInt, {rows}, Fill::sparse);
    file.create_array("batch", at::kLong, {plan_.steps, plan_.batch}, Fill::sparse);
    file.create_array("rate", at::kDouble, {plan_.steps, plan_.players}, Fill::sparse);
    file.create_array("batch_crc", at::kInt, {plan_.steps}, Fill::sparse);
    file.create_array("state", plan_.dtype, {2, plan_.parameters}, Fill::sparse);
    file.create_array("state_step", at::kLong, {2}, Fill::sparse);
    file.create_array("state_crc", at::kInt, {2}, Fill::sparse);
    file.create_array("committed", at::kLong, {1}, Fill::zeros);
    if (ranks_.is_root()) {
      step_numbers.write(at::tensor(plan_.recorded, at::kLong), {0});
      ids.write(at::tensor(plan_.instance_ids, at::kLong), {0});
    }
    file.flush();
  }
  ranks_.on_root([&] {
    try {
      reserve_on_disk(fresh);
    } catch (const Error& error) {
      fs::remove(fresh);
      fail("{}; --record auto, last:EPOCHS, every:STEPS or checkpoints:NUMBER keeps fewer steps",
           error.what());
    }
    flush_to_disk(fresh);
    rename_durably(fresh, part);
  });
}

// Whether what is there is the beginning of this very run.
void TrajectoryWriter::check_begun(const std::string& part) const {
  const H5File file = open_artifact(part, trajectory_schema);
  if (const std::string differs = difference(file, as_old_as(file, plan_.attributes)); !differs.empty())
    fail("{}: belongs to another run ({}); choose another folder, or remove it", part, differs);
  check_shapes(file, trajectory_arrays,
               {{"M", plan_.recorded.size()},
                {"P", plan_.parameters},
                {"T", plan_.steps},
                {"S", plan_.batch},
                {"n", plan_.players},
                {"N", plan_.instance_ids.size()}});
  const bool same = file.array("params").dtype() == plan_.dtype &&
                    file.array("state").dtype() == plan_.dtype &&
                    at::equal(file.array("steps").read(), at::tensor(plan_.recorded, at::kLong)) &&
                    at::equal(file.array("instance_id").read(), at::tensor(plan_.instance_ids, at::kLong));
  if (!same)
    fail("{}: its steps or instances are not those of its settings; the file is damaged, remove it", part);
}

void TrajectoryWriter::resume(const std::string& part) {
  first_step_ = arrays_[committed].read()[0].item<std::int64_t>();
  if (first_step_ < 0 || first_step_ > plan_.steps)
    fail("{}: says that {} steps are committed", part, first_step_);
  const auto row = std::lower_bound(plan_.recorded.begin(), plan_.recorded.end(), first_step_);
  if (first_step_ == 0) return;

  // theta[first_step_] is a recorded row, or else in one of the two state slots.
  const bool recorded = row != plan_.recorded.end() && *row == first_step_;
  std::int64_t place = row - plan_.recorded.begin();
  if (!recorded) {
    place = arrays_[state_step].read()[1].item<std::int64_t>() == first_step_ ? 1 : 0;
    free_slot_ = 1 - place;
  }
  first_params_ = arrays_[recorded ? params : state].read({place, 0}, {1, plan_.parameters})[0];
  const at::Tensor crc = arrays_[recorded ? params_crc : state_crc].read({place}, {1});
  const bool right_step =
      recorded || arrays_[state_step].read({place}, {1}).item<std::int64_t>() == first_step_;
  if (!right_step || static_cast<std::uint32_t>(crc.item<std::int32_t>()) != crc32_of(first_params_))
    fail("{}: the parameters of step {} do not match their checksum; the file is damaged", part, first_step_);
}

void TrajectoryWriter::keep(std::int64_t t, const at::Tensor& theta) {
  if (next_row_ >= plan_.recorded.size() || plan_.recorded[next_row_] != t) return;
  Block& block_now = filling_;
  // The buffer is allocated once: fresh memory for each block would cost as much as the copy.
  if (!block_now.rows.defined())
    block_now.rows = staging_buffer({most_rows_, slice_.size()}, plan_.dtype, device_);
  if (block_now.row_count == 0) block_now.first_row = static_cast<std::int64_t>(next_row_);
  const at::Tensor row = block_now.rows[block_now.row_count++];
  row.copy_(theta.narrow(0, slice_.begin, slice_.size()), /*non_blocking=*/true);
  if (device_.is_cpu()) block_now.row_crcs.push_back(crc32_of(row));
  ++next_row_;
}

void TrajectoryWriter::record(std::int64_t t, const at::Tensor& theta, const at::Tensor& positions,
                              const at::Tensor& rates) {
  keep(t, theta);
  const std::int64_t end = filling_.begin + block;
  const bool full = filling_.row_count == most_rows_ && next_row_ < plan_.recorded.size() &&
                    plan_.recorded[next_row_] <= end;
  if (t == end || (full && t > filling_.begin)) end_block(t, theta);
  if (ranks_.is_root()) {
    filling_.batches.push_back(positions);
    filling_.rates.push_back(rates);
  }
}

void TrajectoryWriter::end_block(std::int64_t end, const at::Tensor& theta) {
  filling_.end = end;
  const bool recorded = std::binary_search(plan_.recorded.begin(), plan_.recorded.end(), end);
  filling_.state = at::Tensor();
  if (!recorded && ranks_.is_root()) {
    filling_.state = staging_buffer(theta.sizes(), theta.scalar_type(), device_);
    filling_.state.copy_(theta, /*non_blocking=*/true);
  }
  if (filling_.copied == nullptr) filling_.copied = device_mark(device_);
  filling_.copied->set();
  if (!device_.is_cpu()) {
    std::swap(filling_, full_);
    if (filling_.end > filling_.begin) write(filling_);
  } else {
    write(filling_);
  }
  filling_.begin = filling_.end = end;
}

void TrajectoryWriter::write(Block& block) {
  commit_pending();
  block.copied->wait();
  write_rows(block);
  if (ranks_.is_root() && !block.batches.empty()) {
    const at::Tensor batches = at::stack(block.batches), rates = at::stack(block.rates);
    std::vector<std::uint32_t> crcs;
    for (std::size_t i = 0; i < block.batches.size(); ++i)
      crcs.push_back(crc32_of(rates[i], crc32_of(batches[i])));
    arrays_[batch].write(batches, {block.begin, 0});
    arrays_[rate].write(rates, {block.begin, 0});
    arrays_[batch_crc].write(as_crc(crcs), {block.begin});
    block.batches.clear();
    block.rates.clear();
  }
  const bool recorded = std::binary_search(plan_.recorded.begin(), plan_.recorded.end(), block.end);
  if (!recorded) {
    write_state(free_slot_, block.end, block.state);
    free_slot_ = 1 - free_slot_;
  }
  flush_ = std::async(std::launch::async, [fd = descriptor_] { return ::fdatasync(fd) == 0 ? 0 : errno; });
  pending_commit_ = block.end;
}

void TrajectoryWriter::write_state(std::int64_t slot, std::int64_t step, const at::Tensor& theta) {
  if (!ranks_.is_root()) return;
  arrays_[state].write(theta.unsqueeze(0).contiguous(), {slot, 0});
  arrays_[state_step].write(one(step), {slot});
  arrays_[state_crc].write(as_crc({crc32_of(theta)}), {slot});
}

void TrajectoryWriter::write_rows(Block& block) {
  if (block.row_count == 0) return;
  const std::int64_t count = std::exchange(block.row_count, 0);
  if (slice_.size() > 0)
    arrays_[params].write(block.rows.narrow(0, 0, count), {block.first_row, slice_.begin});
  while (static_cast<std::int64_t>(block.row_crcs.size()) < count)
    block.row_crcs.push_back(crc32_of(block.rows[static_cast<std::int64_t>(block.row_crcs.size())]));

  // A row's checksum does not depend on how many ranks wrote it: the slices' are joined.
  const auto by_rank = ranks_.gather(block.row_crcs);
  if (ranks_.is_root()) {
    const std::size_t element = plan_.dtype == at::kFloat ? 4 : 8;
    std::vector<std::uint32_t> crcs(block.row_crcs.size(), 0);
    for (int rank = 0; rank < ranks_.size(); ++rank) {
      const std::size_t bytes = part_of(plan_.parameters, ranks_.size(), rank).size() * element;
      for (std::size_t i = 0; i < crcs.size(); ++i)
        crcs[i] = crc32_joined(crcs[i], static_cast<std::uint32_t>(by_rank[rank][i]), bytes);
    }
    arrays_[params_crc].write(as_crc(crcs), {block.first_row});
  }
  block.row_crcs.clear();
}

void TrajectoryWriter::commit_pending() {
  if (pending_commit_ < 0) return;
  if (const int code = flush_.get(); code != 0)
    fail("{}.part: cannot flush it to disk ({})", path_, std::strerror(code));
  ranks_.barrier();
  if (ranks_.is_root()) arrays_[committed].write(one(pending_commit_), {0});
  pending_commit_ = -1;
}

void TrajectoryWriter::write_all() {
  if (full_.end > full_.begin) write(full_);
  full_.begin = full_.end;
  commit_pending();
}

void TrajectoryWriter::close() {
  arrays_.clear();
  file_.reset();
}

void TrajectoryWriter::suspend(std::int64_t t, const at::Tensor& theta) {
  keep(t, theta);
  if (t > filling_.begin) end_block(t, theta);
  write_all();
  ranks_.on_every_rank([&] {
    if (::fdatasync(descriptor_) != 0)
      fail("{}.part: cannot flush it to disk ({})", path_, std::strerror(errno));
  });
  close();
}

void TrajectoryWriter::finish(const at::Tensor& theta) {
  keep(plan_.steps, theta);
  end_block(plan_.steps, theta);
  write_all();
  // A finished file does not tell how often it was interrupted, and where.
  for (const std::int64_t slot : {0, 1}) write_state(slot, 0, at::zeros_like(theta, at::kCPU));
  close();
  ranks_.on_root([&] {
    flush_to_disk(path_ + ".part");
    rename_durably(path_ + ".part", path_);
    for (const char* suffix : {".part", ".new"}) remove_mpi_locks(path_ + suffix);
  });
}

}  // namespace whence
