#include "rows_in_files.h"

#include <algorithm>

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "orientation.h"

namespace whence {
namespace {

// Bytes of a row as numbers, of which its marks would take about as many.
constexpr double small_row = 64;

double numbers_of(const std::vector<std::int64_t>& shape) {
  double product = 1;
  for (const std::int64_t size : shape) product *= static_cast<double>(size);
  return product;
}

Dataset those(const std::shared_ptr<const FileRows>& source, std::vector<std::int64_t> rows,
              const at::Tensor& labels, bool hold) {
  Dataset set;
  set.shape = source->shape();
  if (labels.defined()) set.labels = at::index_select(labels, 0, at::tensor(rows, at::kLong));
  set.instances = Instances(source, rows);
  if (hold) set.instances = set.instances.all();
  set.ids = std::move(rows);
  return set;
}

}  // namespace

bool is_large(double numbers, const DataOptions& options) {
  return numbers * static_cast<double>(c10::elementSize(options.dtype)) >
         static_cast<double>(options.access.memory);
}

bool is_large(const RowChoice& chosen, const std::vector<std::int64_t>& shape, const DataOptions& options) {
  const auto rows = static_cast<double>(chosen.train.size() + chosen.held_out.size() + chosen.test.size());
  const double each = std::max(numbers_of(shape), numbers_of(formed_shape(shape, form_of(options))));
  return each * static_cast<double>(c10::elementSize(options.dtype)) > small_row &&
         is_large(rows * each, options);
}

DataSplit split_in_files(RawRows raw, const at::Tensor& labels, const DataOptions& options) {
  RowChoice rows = choose_labelled_rows(raw.rows(), labels, raw.name, options);
  RowForm form = form_of(options);
  const bool hold = !is_large(rows, raw.shape, options);
  if (hold) form = {options.dtype, options.pixels};
  const auto source = std::make_shared<const FileRows>(std::move(raw), form, options.access);
  DataSplit split{those(source, std::move(rows.train), labels, hold),
                  those(source, std::move(rows.held_out), labels, hold)};
  if (options.test > 0) split.test = those(source, std::move(rows.test), labels, hold);
  split.classes = classes_of(labels, options);
  return split;
}

}  // namespace whence
