#include "whence/trace/trace_checkpoint.h"

#include <filesystem>

#include <ATen/ops/tensor.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/io/checksum.h"
#include "whence/io/shared_folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

const std::string ranks_and_grid = "ranks_and_grid";

const ArrayRules trace_checkpoint_arrays{
    {"taken", {at::kLong}, {"1"}, Numbers::not_negative},
    {"queries", {at::kFloat, at::kDouble}, {"groups", "largest"}, Numbers::finite},
    {"query_count", {at::kLong}, {"groups"}, Numbers::not_negative},
    {"slice_crc", {at::kLong}, {"ranks"}, Numbers::not_negative},
    {"sums", {at::kDouble}, {"ranks", "longest"}, Numbers::finite},
    {"sum_count", {at::kLong}, {"ranks"}, Numbers::not_negative},
    {"sum_crc", {at::kLong}, {"ranks"}, Numbers::not_negative}};

std::int64_t number_in(const H5File& file, const char* name, std::int64_t place) {
  return file.array(name).read({place}, {1}).item<std::int64_t>();
}

[[noreturn]] void fail_contradicting(const H5File& file) {
  fail("{}: its numbers contradict each other; remove the file", file.path());
}

// What the ranks of a group carried alike. The ranks' slices follow one another.
at::Tensor queries_in(const H5File& file, const Sizes& sizes, std::int64_t group) {
  const std::int64_t count = number_in(file, "query_count", group);
  if (count > sizes.at("largest") || sizes.at("groups") > sizes.at("ranks")) fail_contradicting(file);
  const at::Tensor queries = file.array("queries").read({group, 0}, {1, count})[0];
  const Range members = part_of(sizes.at("ranks"), sizes.at("groups"), group);
  for (std::int64_t rank = members.begin; rank < members.end; ++rank) {
    const Range slice = part_of(count, members.size(), rank - members.begin);
    if (number_in(file, "slice_crc", rank) != crc32_of(queries.narrow(0, slice.begin, slice.size())))
      fail("{}: what rank {} carried does not match its checksum; remove the file", file.path(), rank);
  }
  check_numbers(queries, rule_named(trace_checkpoint_arrays, "queries"), sizes, file.path());
  return queries;
}

at::Tensor sums_in(const H5File& file, const Sizes& sizes, std::int64_t rank) {
  const std::int64_t count = number_in(file, "sum_count", rank);
  if (count > sizes.at("longest")) fail_contradicting(file);
  const at::Tensor sums = file.array("sums").read({rank, 0}, {1, count})[0];
  if (number_in(file, "sum_crc", rank) != crc32_of(sums))
    fail("{}: what rank {} carried does not match its checksum; remove the file", file.path(), rank);
  check_numbers(sums, rule_named(trace_checkpoint_arrays, "sums"), sizes, file.path());
  return sums;
}

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
  for (const char* name : {"taken", "query_count", "slice_crc", "sum_count", "sum_crc"})
    check_numbers(file.array(name).read(), rule_named(trace_checkpoint_arrays, name), sizes, file.path());
  for (std::int64_t group = 0; group < sizes.at("groups"); ++group) queries_in(file, sizes, group);
  for (std::int64_t rank = 0; rank < sizes.at("ranks"); ++rank) sums_in(file, sizes, rank);
}

bool TraceCheckpoint::load(TraceBack& sweep) const {
  bool found = false;
  // What other ranks carried cannot be handed out anew to the same bits: the grid is an attribute.
  ranks_.on_root([&] { found = goes_on(part_, trace_checkpoint_schema, with_grid(sweep), unfinished_); });
  if (ranks_.broadcast(static_cast<std::int64_t>(found)) == 0) return false;
  ranks_.on_every_rank([&] {
    const H5File file = open_artifact(part_, trace_checkpoint_schema);
    const Sizes sizes = check_shapes(file, trace_checkpoint_arrays,
                                     {{"ranks", ranks_.size()}, {"groups", sweep.grid().query_groups}});
    const std::int64_t taken = file.array("taken").read().item<std::int64_t>();
    const TraceState state{queries_in(file, sizes, group_of(ranks_.rank(), ranks_.size(), sweep.grid())),
                           sums_in(file, sizes, ranks_.rank())};
    if (state.queries.numel() != sweep.query_numbers() || state.sums.numel() != sweep.sum_numbers() ||
        taken < 0 || taken > sweep.steps())
      fail("{}: what rank {} carried is not part of this trace-back; remove the file", part_, ranks_.rank());
    sweep.restore(taken, state);
  });
  return true;
}

void TraceCheckpoint::save(TraceBack& sweep) const {
  const TraceState state = sweep.state();
  const auto most = [&](const at::Tensor& part) {
    return static_cast<std::int64_t>(ranks_.max(static_cast<double>(part.numel())));
  };
  const std::int64_t ranks = ranks_.size(), rank = ranks_.rank(), groups = sweep.grid().query_groups;
  const std::int64_t group = group_of(rank, ranks, sweep.grid()), largest = most(state.queries),
                     longest = most(state.sums);
  const Range slice = part_of(state.queries.numel(), sweep.group().size(), sweep.group().rank());
  const at::Tensor own = state.queries.narrow(0, slice.begin, slice.size());
  const auto one = [](std::int64_t number) { return at::tensor({number}, at::kLong); };
  const std::string fresh = part_ + ".new";
  {
    const H5File file = H5File::create(fresh, ranks_);
    describe(file, trace_checkpoint_schema, with_grid(sweep));
    const H5Array taken = file.create_array("taken", at::kLong, {1}, Fill::zeros);
    const H5Array queries =
        file.create_array("queries", state.queries.scalar_type(), {groups, largest}, Fill::sparse);
    const H5Array query_counts = file.create_array("query_count", at::kLong, {groups}, Fill::sparse);
    const H5Array slice_crcs = file.create_array("slice_crc", at::kLong, {ranks}, Fill::sparse);
    const H5Array sums = file.create_array("sums", at::kDouble, {ranks, longest}, Fill::sparse);
    const H5Array sum_counts = file.create_array("sum_count", at::kLong, {ranks}, Fill::sparse);
    const H5Array sum_crcs = file.create_array("sum_crc", at::kLong, {ranks}, Fill::sparse);
    ranks_.on_every_rank([&] {
      if (ranks_.is_root()) taken.write(one(sweep.taken()), {0});
      if (sweep.group().is_root()) query_counts.write(one(state.queries.numel()), {group});
      queries.write(own.unsqueeze(0), {group, slice.begin});
      slice_crcs.write(one(static_cast<std::int64_t>(crc32_of(own))), {rank});
      sums.write(state.sums.unsqueeze(0), {rank, 0});
      sum_counts.write(one(state.sums.numel()), {rank});
      sum_crcs.write(one(static_cast<std::int64_t>(crc32_of(state.sums))), {rank});
    });
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
