#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/data/csv.h"
#include "whence/data/rows.h"
#include "whence/data/sources.h"

namespace whence {
namespace {

Dataset take(const CsvFile& file, std::vector<std::int64_t> rows, at::ScalarType dtype) {
  Dataset data;
  const auto count = static_cast<std::int64_t>(rows.size());
  const at::Tensor points = at::empty({count, file.width}, at::kDouble);
  double* out = points.data_ptr<double>();
  for (const std::int64_t row : rows)
    out = std::copy_n(file.values.begin() + row * file.width, file.width, out);
  data.instances = points.to(dtype);
  data.shape = {file.width};
  if (!file.clusters.empty()) {
    data.labels = at::empty({count}, at::kLong);
    std::int64_t* label = data.labels.data_ptr<std::int64_t>();
    for (const std::int64_t row : rows) *label++ = file.clusters[row];
  }
  data.ids = std::move(rows);
  return data;
}

}  // namespace

DataSplit load_csv(const std::string& path, const std::optional<std::string>& cluster_column,
                   const DataOptions& options) {
  const CsvFile file = read_csv(path, cluster_column);
  const at::Tensor clusters = file.clusters.empty() ? at::Tensor() : at::tensor(file.clusters, at::kLong);
  RowChoice rows = choose_labelled_rows(file.rows(), clusters, path, options);
  DataSplit split{take(file, std::move(rows.train), options.dtype),
                  take(file, std::move(rows.held_out), options.dtype)};
  if (options.test > 0) split.test = take(file, std::move(rows.test), options.dtype);
  split.classes = classes_of(clusters, options);
  split.note = in_words(path, file);
  return split;
}

}  // namespace whence
