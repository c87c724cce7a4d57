#include "whence/data/shared_marks.h"

#include <algorithm>
#include <filesystem>

#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/progress.h"
#include "whence/data/file_rows.h"
#include "whence/data/idx.h"
#include "whence/data/row_file.h"

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

// The first rank that reads the same file and knows as much of it.
int group_of(const FileRows& file, bool known, const Communicator& ranks) {
  const auto same = of_all(static_cast<std::int64_t>(file.identity() * 2 + (known ? 1 : 0)), ranks);
  return static_cast<int>(std::find(same.begin(), same.end(), same[ranks.rank()]) - same.begin());
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
  const bool known = file.known_marks() != nullptr;
  const Communicator group = ranks.split(group_of(file, known, ranks));
  MarkedPieces marks(file);
  ranks.on_every_rank([&] {
    if (known) return;
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

}  // namespace

void mark_together(const DataOptions& options, const Communicator& ranks) {
  DataSplit data;
  std::vector<const FileRows*> files;
  try {
    if (may_be_large(options)) {
      data = load_data(options);
      files = files_of(data);
    }
  } catch (const std::exception&) {
    files.clear();  // it is said when they are loaded for use
  }
  const auto count = of_all(static_cast<std::int64_t>(files.size()), ranks);
  if (std::any_of(count.begin(), count.end(), [&](std::int64_t other) { return other != count.front(); }))
    return;
  for (const FileRows* file : files) mark(*file, ranks);
}

}  // namespace whence
