#include <array>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/data/images.h"
#include "whence/data/rows.h"
#include "whence/data/sources.h"

#include "packed_file.h"

namespace whence {
namespace {

constexpr std::int64_t side = 32, planes = 3, pixels = planes * side * side;
constexpr std::int64_t labels_known = 10;

struct Records {
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> bytes;  // [records * pixels]
};

void append(const std::string& path, Records& records) {
  PackedFile file(path);
  std::array<std::uint8_t, 1 + pixels> record;
  std::int64_t count = 0;
  for (std::size_t got; (got = file.read(record.data(), record.size())) > 0; ++count) {
    if (got < record.size())
      fail("{}: ends inside record {}, so these are not CIFAR-10 records of {} bytes", path, count,
           record.size());
    if (record[0] >= labels_known)
      fail("{}: record {} has the label {}, but CIFAR-10 has 0 to 9", path, count, record[0]);
    records.labels.push_back(record[0]);
    records.bytes.insert(records.bytes.end(), record.begin() + 1, record.end());
  }
  if (count == 0) fail("{}: holds no records", path);
}

template <typename T>
at::Tensor scaled(const Records& records, const std::vector<std::int64_t>& rows, PixelRange range) {
  const at::Tensor out =
      at::empty({static_cast<std::int64_t>(rows.size()), pixels}, c10::CppTypeToScalarType<T>::value);
  T* value = out.template data_ptr<T>();
  for (std::size_t i = 0; i < rows.size(); ++i)
    scale_pixels(records.bytes.data() + rows[i] * pixels, pixels, range, value + i * pixels);
  return out;
}

Dataset take(const Records& records, std::vector<std::int64_t> rows, const DataOptions& options) {
  Dataset data;
  data.instances = options.dtype == at::kFloat ? scaled<float>(records, rows, options.pixels)
                                               : scaled<double>(records, rows, options.pixels);
  data.shape = {planes, side, side};
  data.labels = at::empty({static_cast<std::int64_t>(rows.size())}, at::kLong);
  std::int64_t* label = data.labels.data_ptr<std::int64_t>();
  for (const std::int64_t row : rows) *label++ = records.labels[row];
  data.ids = std::move(rows);
  return data;
}

}  // namespace

DataSplit load_cifar10(const std::vector<std::string>& files, const DataOptions& options) {
  Records records;
  for (const std::string& file : files) append(file, records);
  const auto rows = static_cast<std::int64_t>(records.labels.size());
  RowChoice chosen =
      choose_labelled_rows(rows, at::tensor(records.labels, at::kLong), files.front(), options);
  DataSplit split{take(records, std::move(chosen.train), options),
                  take(records, std::move(chosen.held_out), options)};
  if (options.test > 0) split.test = take(records, std::move(chosen.test), options);
  split.classes = labels_known;
  return split;
}

}  // namespace whence
