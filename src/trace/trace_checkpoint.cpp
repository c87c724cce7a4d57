#include "whence/trace/trace_checkpoint.h"

#include <filesystem>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/io/checksum.h"
#include "whence/io/shared_folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

const std::string ranks_and_grid = "ranks_and_grid";

const ArrayRules trace_checkpoint_arrays{{"taken", {at::kLong}, {"1"}, Numbers::not_negative},
                                         {"state", {at::kDouble}, {"ranks", "longest"}, Numbers::finite},
                                         {"count", {at::kLong}, {"ranks"}, Numbers::not_negative},
                                         {"crc", {at::kLong}, {"ranks"}, Numbers::not_negative}};

}  // namespace

TraceCheckpoint::TraceCheckpoint(const std::string& result, Attributes attributes, Unfinished unfinished,
                                 const Communicator& ranks)
    : part_(result + ".part"), attributes_(std::move(attributes)), unfinished_(unfinished), ranks_(ranks) {
  check_shared_folder(fs::path(part_).parent_path().string(), ranks_);
}

Attributes TraceCheckpoint::with_grid(const TraceBack& sweep) const {
  Attributes all = attributes_;
  all[ranks_and_grid] = fmt::format("{} ranks, {} query groups", ranks_.size(), sweep.grid().query_groups);
  return all;
}

void TraceCheckpoint::verify(const H5File& file) {
  const Sizes sizes = check_shapes(file, trace_checkpoint_arrays);
  for (const char* name : {"taken", "count", "crc"})
    check_numbers(file.array(name).read(), rule_named(trace_checkpoint_arrays, name), sizes, file.path());
  for (std::int64_t rank = 0; rank < sizes.at("ranks"); ++rank) {
    const auto count = file.array("count").read({rank}, {1}).item<std::int64_t>();
    if (count > sizes.at("longest"))
      fail("{}: its numbers contradict each other; remove the file", file.path());
    const at::Tensor state = file.array("state").read({rank, 0}, {1, count})[0];
    if (file.array("crc").read({rank}, {1}).item<std::int64_t>() != crc32_of(state))
      fail("{}: what rank {} carried does not match its checksum; remove the file", file.path(), rank);
    check_numbers(state, rule_named(trace_checkpoint_arrays, "state"), sizes, file.path());
  }
}

bool TraceCheckpoint::load(TraceBack& sweep) const {
  bool found = false;
  // What other ranks carried cannot be handed out anew to the same bits: the grid is an attribute.
  ranks_.on_root([&] { found = goes_on(part_, trace_checkpoint_schema, with_grid(sweep), unfinished_); });
  if (ranks_.broadcast(static_cast<std::int64_t>(found)) == 0) return false;
  ranks_.on_every_rank([&] {
    const H5File file = open_artifact(part_, trace_checkpoint_schema);
    const Sizes sizes = check_shapes(file, trace_checkpoint_arrays, {{"ranks", ranks_.size()}});
    const std::int64_t rank = ranks_.rank(), taken = file.array("taken").read().item<std::int64_t>();
    const auto count = file.array("count").read({rank}, {1}).item<std::int64_t>();
    if (count != sweep.state_numbers() || count > sizes.at("longest") || taken < 0 || taken > sweep.steps())
      fail("{}: what rank {} carried is not part of this trace-back; remove the file", part_, rank);
    const at::Tensor state = file.array("state").read({rank, 0}, {1, count})[0];
    if (file.array("crc").read({rank}, {1}).item<std::int64_t>() != crc32_of(state))
      fail("{}: what rank {} carried does not match its checksum; remove the file", part_, rank);
    check_numbers(state, rule_named(trace_checkpoint_arrays, "state"), sizes, part_);
    sweep.restore(taken, state);
  });
  return true;
}

void TraceCheckpoint::save(TraceBack& sweep) const {
  const at::Tensor state = sweep.state();
  const std::int64_t ranks = ranks_.size(), rank = ranks_.rank();
  const auto longest = static_cast<std::int64_t>(ranks_.max(static_cast<double>(state.numel())));
  const std::string fresh = part_ + ".new";
  {
    const H5File file = H5File::create(fresh, ranks_);
    describe(file, trace_checkpoint_schema, with_grid(sweep));
    const H5Array taken = file.create_array("taken", at::kLong, {1}, Fill::zeros);
    const H5Array states = file.create_array("state", at::kDouble, {ranks, longest}, Fill::sparse);
    const H5Array counts = file.create_array("count", at::kLong, {ranks}, Fill::sparse);
    const H5Array crcs = file.create_array("crc", at::kLong, {ranks}, Fill::sparse);
    if (ranks_.is_root()) taken.write(at::tensor({sweep.taken()}, at::kLong), {0});
    states.write(state.unsqueeze(0), {rank, 0});
    counts.write(at::tensor({state.numel()}, at::kLong), {rank});
    crcs.write(at::tensor({static_cast<std::int64_t>(crc32_of(state))}, at::kLong), {rank});
    file.flush();
  }
  ranks_.on_root([&] {
    flush_to_disk(fresh);
    rename_durably(fresh, part_);
    remove_mpi_locks(fresh);
  });
}

void TraceCheckpoint::remove() const {
  ranks_.on_root([&] { fs::remove(part_); });
}

}  // namespace whence
