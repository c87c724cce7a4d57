#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <tuple>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/data/images.h"
#include "whence/data/rows.h"
#include "whence/data/sources.h"

#include "cache_folder.h"
#include "packed_file.h"
#include "rows_in_files.h"

namespace whence {
namespace {

constexpr std::int64_t side = 32, planes = 3, pixels = planes * side * side;
constexpr std::int64_t labels_known = 10;

struct Records {
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> bytes;  // [records * pixels]
};

using Record = std::array<std::uint8_t, 1 + pixels>;

// Shows each record of the file, the first of which is after `skipped` bytes, to `see` until that says that
// it has seen enough.
void read_records(const std::string& path, const std::function<bool(const Record&)>& see,
                  std::int64_t skipped = 0) {
  PackedFile file(path);
  Record record;
  std::vector<std::uint8_t> before(static_cast<std::size_t>(skipped));
  file.read(before.data(), before.size());
  std::int64_t count = 0;
  for (std::size_t got; (got = file.read(record.data(), record.size())) > 0; ++count) {
    if (got < record.size())
      fail("{}: ends inside record {}, so these are not CIFAR-10 records of {} bytes", path, count,
           record.size());
    if (record[0] >= labels_known)
      fail("{}: record {} has the label {}, but CIFAR-10 has 0 to 9", path, count, record[0]);
    if (!see(record)) return;
  }
  if (count == 0) fail("{}: holds no records", path);
}

// All records, or nothing where they are too large to be held.
std::optional<Records> hold(const std::vector<std::string>& files, const DataOptions& options) {
  Records records;
  bool large = false;
  for (const std::string& file : files) {
    std::error_code ignored;
    const bool pipe = !std::filesystem::is_regular_file(file, ignored);  // can be read only once
    read_records(file, [&](const Record& record) {
      records.labels.push_back(record[0]);
      records.bytes.insert(records.bytes.end(), record.begin() + 1, record.end());
      large = !pipe && is_large(static_cast<double>(records.bytes.size()), options);
      return !large;
    });
    if (large) return std::nullopt;
  }
  return records;
}

RawRows::Part plain(const std::string& path, const DataAccess& access) {
  constexpr std::int64_t size = std::tuple_size_v<Record>;
  if (!PackedFile(path).packed())
    return {path, 1, static_cast<std::int64_t>(std::filesystem::file_size(path)) / size};
  const CachedFile file = cached({path, "", -1}, access, [&path](const Sink& take) {
    read_records(path, [&take](const Record& record) {
      take(record.data(), record.size());
      return true;
    });
  });
  return {file.path, file.begin + 1, file.bytes / size};
}

DataSplit leave_in_files(const std::vector<std::string>& files, const DataOptions& options) {
  RawRows raw;
  raw.name = files.front();
  raw.shape = {planes, side, side};
  raw.stride = std::tuple_size_v<Record>;
  raw.origins = files;
  std::vector<std::int64_t> labels;
  for (const std::string& file : files) {
    const RawRows::Part part = raw.parts.emplace_back(plain(file, options.access));
    const auto see = [&labels](const Record& record) {
      labels.push_back(record[0]);
      return true;
    };
    read_records(part.path, see, part.begin - 1);
  }
  DataSplit split = split_in_files(std::move(raw), at::tensor(labels, at::kLong), options);
  split.classes = labels_known;
  return split;
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
  const std::optional<Records> held = hold(files, options);
  if (!held) return leave_in_files(files, options);
  const Records& records = *held;
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
