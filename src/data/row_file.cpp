#include "whence/data/row_file.h"

#include <cmath>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/data/images.h"
#include "whence/data/rows.h"

namespace whence {
namespace {

// Where a row of the file goes: into which set, and as which instance of it.
struct Goal {
  Dataset* set = nullptr;
  at::Tensor rows = {};  // the set's instances
  std::int64_t instance = 0;
};

template <typename T>
void put_numbers(const double* from, std::int64_t width, T* out) {
  for (std::int64_t i = 0; i < width; ++i) out[i] = static_cast<T>(from[i]);
}

template <typename T>
void put_row(const at::Tensor& slice, std::int64_t row, PixelRange range, const Goal& goal) {
  const std::int64_t width = slice.size(1);
  T* out = goal.rows.data_ptr<T>() + goal.instance * width;
  if (slice.scalar_type() == at::kByte)
    scale_pixels(slice.data_ptr<std::uint8_t>() + row * width, width, range, out);
  else
    put_numbers(slice.data_ptr<double>() + row * width, width, out);
}

template <typename T>
void expect_finite(const Goal& goal, double given, const std::string& name) {
  const std::int64_t width = goal.rows.size(1);
  const T* values = goal.rows.data_ptr<T>() + goal.instance * width;
  for (std::int64_t i = 0; i < width; ++i)
    if (!std::isfinite(values[i]))
      fail("{}: row {} holds {}, which is not a number to train on", name, goal.set->ids[goal.instance],
           std::isnan(values[i])  ? "NaN"
           : std::isfinite(given) ? "a number too large for --dtype float32"
                                  : "an infinite number");
}

// The largest number of the row in the file, which tells what the dtype could not hold from what was
// infinite.
double largest(const at::Tensor& slice, std::int64_t row) {
  double most = 0;
  const double* values = slice.data_ptr<double>() + row * slice.size(1);
  for (std::int64_t i = 0; i < slice.size(1); ++i) most = std::max(most, std::abs(values[i]));
  return most;
}

void take(const RowFile& file, const std::vector<Goal>& goals, const DataOptions& options) {
  const std::int64_t rows = file.rows(), step = file.rows_at_once();
  for (std::int64_t first = 0; first < rows; first += step) {
    std::int64_t begin = first, end = std::min(rows, first + step);
    while (begin < end && goals[begin].set == nullptr) ++begin;
    while (end > begin && goals[end - 1].set == nullptr) --end;
    if (begin == end) continue;
    const at::Tensor slice = file.read(begin, end - begin);
    for (std::int64_t row = begin; row < end; ++row) {
      const Goal& goal = goals[row];
      if (goal.set == nullptr) continue;
      const bool narrow = options.dtype == at::kFloat, bytes = slice.scalar_type() == at::kByte;
      narrow ? put_row<float>(slice, row - begin, options.pixels, goal)
             : put_row<double>(slice, row - begin, options.pixels, goal);
      if (bytes) continue;
      const double most = largest(slice, row - begin);
      narrow ? expect_finite<float>(goal, most, file.name()) : expect_finite<double>(goal, most, file.name());
    }
  }
}

Dataset room_for(std::vector<std::int64_t> rows, const RowFile& file, const at::Tensor& labels,
                 const DataOptions& options) {
  Dataset set;
  set.shape = file.shape();
  std::int64_t width = 1;
  for (const std::int64_t size : set.shape) width *= size;
  const auto count = static_cast<std::int64_t>(rows.size());
  try {
    set.instances = at::empty({count, width}, options.dtype);
  } catch (const std::exception&) {
    fail("{}: there is no memory for {} rows, {}", file.name(), count,
         human_bytes(static_cast<double>(count) * static_cast<double>(width) *
                     static_cast<double>(c10::elementSize(options.dtype))));
  }
  if (labels.defined()) {
    set.labels = at::empty({count}, at::kLong);
    for (std::int64_t i = 0; i < count; ++i)
      set.labels.data_ptr<std::int64_t>()[i] = labels.data_ptr<std::int64_t>()[rows[i]];
  }
  set.ids = std::move(rows);
  return set;
}

}  // namespace

DataSplit load_rows(const RowFile& file, const at::Tensor& labels, const DataOptions& options) {
  RowChoice rows = choose_labelled_rows(file.rows(), labels, file.name(), options);
  DataSplit split{room_for(std::move(rows.train), file, labels, options),
                  room_for(std::move(rows.held_out), file, labels, options)};
  if (options.test > 0) split.test = room_for(std::move(rows.test), file, labels, options);
  std::vector<Goal> goals(file.rows());
  for (Dataset* set : {&split.train, &split.held_out, &split.test}) {
    if (set->ids.empty()) continue;
    const at::Tensor held = set->instances.all();
    for (std::size_t i = 0; i < set->ids.size(); ++i)
      goals[set->ids[i]] = {set, held, static_cast<std::int64_t>(i)};
  }
  take(file, goals, options);
  split.classes = classes_of(labels, options);
  return split;
}

}  // namespace whence
