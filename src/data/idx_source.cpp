#include <algorithm>
#include <filesystem>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/data/idx.h"
#include "whence/data/images.h"
#include "whence/data/rows.h"
#include "whence/data/sources.h"

#include "cache_folder.h"
#include "rows_in_files.h"

namespace whence {
namespace {

template <typename T>
at::Tensor scaled_rows(const IdxFile& images, const std::vector<std::int64_t>& rows, PixelRange range) {
  const std::int64_t width = images.width();
  const at::Tensor out =
      at::empty({static_cast<std::int64_t>(rows.size()), width}, c10::CppTypeToScalarType<T>::value);
  T* value = out.template data_ptr<T>();
  for (const std::int64_t row : rows) {
    scale_pixels(images.bytes.data() + row * width, width, range, value);
    value += width;
  }
  return out;
}

Dataset take(const IdxFile& images, const std::optional<IdxFile>& labels, std::vector<std::int64_t> rows,
             const DataOptions& options) {
  Dataset data;
  data.instances = options.dtype == at::kFloat ? scaled_rows<float>(images, rows, options.pixels)
                                               : scaled_rows<double>(images, rows, options.pixels);
  data.shape.assign(images.shape.begin() + 1, images.shape.end());
  if (labels) {
    data.labels = at::empty({static_cast<std::int64_t>(rows.size())}, at::kLong);
    std::int64_t* label = data.labels.data_ptr<std::int64_t>();
    for (const std::int64_t row : rows) *label++ = labels->bytes[row];
  }
  data.ids = std::move(rows);
  return data;
}

IdxHeader read_images_header(const std::string& path) {
  IdxHeader images = read_idx_header(path);
  if (images.shape.size() < 2) fail("{}: an IDX file of rank 1, but instances need rank 2 or more", path);
  return images;
}

IdxFile read_images(const std::string& path) {
  IdxFile images = read_idx(path);
  if (images.shape.size() < 2) fail("{}: an IDX file of rank 1, but instances need rank 2 or more", path);
  return images;
}

// Nothing for a file that is held, or for a pipe, which cannot be looked into beforehand.
std::optional<IdxHeader> header_of_large(const std::string& path, const DataOptions& options) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
  const IdxHeader header = read_images_header(path);
  const double numbers = static_cast<double>(header.rows()) * static_cast<double>(header.width());
  return is_large(numbers, options) ? std::optional(header) : std::nullopt;
}

RawRows rows_of(const std::string& path, const IdxHeader& images, const DataAccess& access) {
  RawRows raw;
  raw.name = path;
  raw.shape.assign(images.shape.begin() + 1, images.shape.end());
  raw.stride = images.width();
  raw.parts = {{path, images.begin, images.rows()}};
  if (!images.packed) return raw;
  const CachedFile file = cached({path, "", images.rows() * images.width()}, access,
                                 [&path](const Sink& take) { unpack_idx(path, take); });
  raw.parts = {{file.path, file.begin, images.rows()}};
  raw.origins = {path};
  return raw;
}

IdxFile read_labels(const std::string& path, const std::string& images_path, std::int64_t rows) {
  IdxFile labels = read_idx(path);
  if (labels.shape.size() != 1)
    fail("{}: an IDX file of rank {}, but labels have rank 1", path, labels.shape.size());
  if (labels.rows() != rows)
    fail("{} has {} labels for the {} rows of {}", path, labels.rows(), rows, images_path);
  return labels;
}

// The file called `name` in `folder`, unpacked if it lies there so, else packed.
std::string find_plain_or_gzip(const std::string& folder, const std::string& name) {
  const std::filesystem::path plain = std::filesystem::path(folder) / name;
  std::error_code ignored;  // A folder that cannot be looked into has no such file either.
  for (const std::string& path : {plain.string(), plain.string() + ".gz"})
    if (std::filesystem::exists(path, ignored)) return path;
  fail("{}: there is neither {} nor {}.gz in this folder", folder, name, name);
}

// The first options.test rows of the choice that the seed makes of the test files; ids go on after those of
// the `training_rows`.
DataSplit load_test_files(const std::string& folder, std::int64_t training_rows, const DataOptions& options) {
  const std::string images = find_plain_or_gzip(folder, "t10k-images-idx3-ubyte");
  DataOptions chosen = options;
  chosen.instances = options.test;
  chosen.held_out = chosen.test = 0;
  chosen.train_ids = chosen.train_rows = "";
  const std::int64_t rows = read_images_header(images).rows();
  if (options.test > rows)
    refuse("--test {} asks for more than the {} rows of {}", options.test, rows, images);
  DataSplit data = load_idx(images, find_plain_or_gzip(folder, "t10k-labels-idx1-ubyte"), chosen);
  for (std::int64_t& id : data.train.ids) id += training_rows;
  return data;
}

}  // namespace

DataSplit load_idx(const std::string& images_path, const std::optional<std::string>& labels_path,
                   const DataOptions& options) {
  const std::optional<IdxHeader> large = header_of_large(images_path, options);
  const IdxFile images = large ? IdxFile{large->shape, {}} : read_images(images_path);
  std::optional<IdxFile> labels;
  if (labels_path) labels = read_labels(*labels_path, images_path, images.rows());
  const at::Tensor by_row = labels ? at::tensor(labels->bytes, at::kLong) : at::Tensor();
  if (large) return split_in_files(rows_of(images_path, *large, options.access), by_row, options);
  RowChoice rows = choose_labelled_rows(images.rows(), by_row, images_path, options);
  DataSplit split{take(images, labels, std::move(rows.train), options),
                  take(images, labels, std::move(rows.held_out), options)};
  if (options.test > 0) split.test = take(images, labels, std::move(rows.test), options);
  split.classes = classes_of(by_row, options);
  return split;
}

DataSplit load_mnist(const std::string& folder, const DataOptions& options) {
  const std::string images = find_plain_or_gzip(folder, "train-images-idx3-ubyte");
  DataOptions of_training_files = options;
  of_training_files.test = 0;
  DataSplit split =
      load_idx(images, find_plain_or_gzip(folder, "train-labels-idx1-ubyte"), of_training_files);
  if (options.test > 0) {
    DataSplit test = load_test_files(folder, read_idx_header(images).rows(), options);
    split.classes = std::max(split.classes, test.classes);
    split.test = std::move(test.train);
  }
  return split;
}

}  // namespace whence
