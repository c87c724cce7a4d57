#include <algorithm>

#include "whence/core/error.h"
#include "whence/data/npy.h"
#include "whence/data/row_file.h"
#include "whence/data/sources.h"

#include "labels.h"
#include "rows_in_files.h"

namespace whence {
namespace {

class NpyRows : public RowFile {
 public:
  explicit NpyRows(const std::string& path) : file_(path) {
    if (file_.shape().size() < 2) fail("{}: has one axis, but instances need a second one", path);
    if (file_.numbers() == NpyFile::Numbers::integers)
      fail("{}: holds integers that are not unsigned bytes; instances are bytes (pixels) or floats", path);
  }

  std::string name() const override { return file_.path(); }
  std::int64_t rows() const override { return file_.rows(); }
  std::vector<std::int64_t> shape() const override {
    return {file_.shape().begin() + 1, file_.shape().end()};
  }
  std::int64_t rows_at_once() const override {
    constexpr std::int64_t slice_bytes = std::int64_t{1} << 25;
    return std::max<std::int64_t>(1, slice_bytes / 8 / file_.width());
  }
  at::Tensor read(std::int64_t first, std::int64_t count) const override { return file_.read(first, count); }
  const NpyFile& file() const { return file_; }

 private:
  NpyFile file_;
};

RawRows rows_of(const NpyFile& file) {
  RawRows raw;
  raw.name = file.path();
  raw.parts = {{file.path(), file.begin(), file.rows()}};
  raw.shape.assign(file.shape().begin() + 1, file.shape().end());
  raw.type = file.numbers() == NpyFile::Numbers::bytes ? at::kByte
             : file.number_bytes() == 2                ? at::kHalf
             : file.number_bytes() == 4                ? at::kFloat
                                                       : at::kDouble;
  raw.swapped = file.swapped();
  raw.stride = file.width() * file.number_bytes();
  return raw;
}

at::Tensor read_labels(const std::string& path, const RowFile& instances) {
  const NpyFile file(path);
  if (file.numbers() == NpyFile::Numbers::reals) fail("{}: holds floats, but labels are integers", path);
  if (file.width() != 1) fail("{}: has {} numbers a row, but labels have one", path, file.width());
  if (file.rows() != instances.rows())
    fail("{} has {} labels for the {} rows of {}", path, file.rows(), instances.rows(), instances.name());
  return checked_labels(file.read(0, file.rows()).view({-1}).to(at::kLong), path);
}

}  // namespace

DataSplit load_npy(const std::string& instances, const std::string& labels, const DataOptions& options) {
  const NpyRows rows(instances);
  const at::Tensor by_row = labels.empty() ? at::Tensor() : read_labels(labels, rows);
  const NpyFile& file = rows.file();
  DataSplit split = is_large(static_cast<double>(file.rows()) * static_cast<double>(file.width()), options)
                        ? split_in_files(rows_of(file), by_row, options)
                        : load_rows(rows, by_row, options);
  split.note = fmt::format("{}: {} rows{}", instances, rows.rows(),
                           labels.empty() ? ", without labels" : ", labels in " + labels);
  return split;
}

}  // namespace whence
