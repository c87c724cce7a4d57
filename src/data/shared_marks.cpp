#include "whence/data/shared_marks.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <functional>

#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/host.h"
#include "whence/core/options.h"
#include "whence/core/progress.h"
#include "whence/data/file_rows.h"
#include "whence/data/idx.h"
#include "whence/data/row_file.h"

#include "cache_folder.h"
#include "row_marks.h"
#include "rows_in_files.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// Numbers in a file at most, but for very good packing. 0 for what cannot be looked at.
double numbers_in(const std::string& path) {
  constexpr double packed = 10;
  std::error_code code;
  if (!fs::is_regular_file(path, code)) return 0;
  return packed * static_cast<double>(fs::file_size(path));
}

double numbers_in_idx(const std::string& path) {
  std::error_code code;
  if (!fs::is_regular_file(path, code)) return 0;
  const IdxHeader header = read_idx_header(path);
  return static_cast<double>(header.rows()) * static_cast<double>(header.width());
}

// Whether it is worth looking: loading small data twice would be a waste.
bool may_be_large(const DataOptions& options) {
  const std::size_t colon = options.source.find(':');
  if (colon == std::string::npos) return false;
  const std::string kind = options.source.substr(0, colon), place = options.source.substr(colon + 1);
  double numbers = 0;
  if (kind == "hdf5") numbers = numbers_in(hdf5_place(place).file);
  if (kind == "npy") numbers = numbers_in(place.substr(0, place.find(',')));
  if (kind == "idx") numbers = numbers_in_idx(place.substr(0, place.find(',')));
  if (kind == "mnist")
    for (const char* end : {"", ".gz"})
      numbers = std::max(numbers, numbers_in_idx(place + "/train-images-idx3-ubyte" + end));
  if (kind == "cifar10")
    for (const std::string& file : split_list("data", place)) numbers += numbers_in(file);
  return is_large(numbers, options);
}

// Files of which this rank does not know the marks. The same number on all ranks, or none.
std::vector<const FileRows*> files_of(const DataSplit& data) {
  std::vector<const FileRows*> all;
  for (const Dataset* set : {&data.train, &data.held_out, &data.test})
    for (const FileRows* file : set->instances.files())
      if (std::find(all.begin(), all.end(), file) == all.end()) all.push_back(file);
  return all;
}

// Each rank's value on every rank.
std::vector<std::int64_t> of_all(std::int64_t value, const Communicator& ranks) {
  at::Tensor all = at::zeros({ranks.size()}, at::kLong);
  all[ranks.rank()] = value;
  ranks.sum(all);
  const auto* begin = all.data_ptr<std::int64_t>();
  return {begin, begin + all.numel()};
}

// The first rank that has the same value.
int first_with(std::uint64_t value, const Communicator& ranks) {
  const auto values = of_all(static_cast<std::int64_t>(value), ranks);
  return static_cast<int>(std::find(values.begin(), values.end(), values[ranks.rank()]) - values.begin());
}

// What each rank of the group has filled in of zeros.
template <typename T>
void join(std::vector<T>& values, const Communicator& group) {
  constexpr bool real = std::is_same_v<T, double>;
  at::Tensor all = at::zeros({static_cast<std::int64_t>(values.size())}, real ? at::kDouble : at::kLong);
  using Number = std::conditional_t<real, double, std::int64_t>;
  std::copy(values.begin(), values.end(), all.data_ptr<Number>());
  group.sum(all);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(all.data_ptr<Number>()[i]);
}

void mark(const FileRows& file, const Communicator& ranks) {
  // Each rank looks at other pieces of the file: where one finds a change, no rank believes what was kept.
  const Communicator group = ranks.split(first_with(file.identity(), ranks));
  bool known = false;
  ranks.on_every_rank([&] { known = file.known_marks() != nullptr; });
  known = group.min(static_cast<std::int64_t>(known)) != 0;
  MarkedPieces marks;
  ranks.on_every_rank([&] {
    if (known) return;
    marks = MarkedPieces(file);
    if (group.is_root())
      file.access().announce(fmt::format("taking the checksums of {}, {}, once for all jobs", file.raw().name,
                                         human_bytes(file.raw().bytes())));
    const Range own = part_of(file.pieces(), group.size(), group.rank());
    for (std::int64_t i = own.begin; i < own.end; ++i) marks.piece[i] = file.look_at(i, &marks.marks);
  });
  if (known) return;
  join(marks.piece, group);
  join(marks.marks.crc, group);
  join(marks.marks.least, group);
  join(marks.marks.most, group);
  if (group.is_root()) keep_marks(file, marks);
  file.know(std::make_shared<RowMarks>(std::move(marks.marks)));
}

// Of large data, loaded by the first rank of each node before the others: what takes long of it, and fails
// after long, is done once. Its error is thrown on all ranks; nothing of data that are not large.
DataSplit large_data(const DataOptions& options, const Communicator& ranks) {
  DataSplit data;
  bool large = false;
  try {
    large = may_be_large(options);
  } catch (const std::exception&) {
    // It is said when they are loaded for use.
  }
  const bool first = first_with(std::hash<std::string>()(host_name()), ranks) == ranks.rank();
  std::exception_ptr fault;
  try {
    if (large && first) data = load_data(options);
  } catch (const std::exception&) {
    fault = std::current_exception();
  }
  const auto tell = [&] {
    if (fault) std::rethrow_exception(fault);
  };
  ranks.on_root(tell);
  ranks.on_every_rank(tell);
  ranks.on_every_rank([&] {
    if (large && !first) data = load_data(options);
  });
  return data;
}

}  // namespace

void mark_together(const DataOptions& options, const Communicator& ranks) {
  const DataSplit data = large_data(options, ranks);
  const std::vector<const FileRows*> files = files_of(data);
  const auto count = of_all(static_cast<std::int64_t>(files.size()), ranks);
  if (std::any_of(count.begin(), count.end(), [&](std::int64_t other) { return other != count.front(); }))
    return;
  for (const FileRows* file : files) mark(*file, ranks);
}

}  // namespace whence
