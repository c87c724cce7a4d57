#include "whence/data/file_rows.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <limits>
#include <numeric>
#include <sys/stat.h>
#include <unistd.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <c10/util/Half.h>

#include "whence/core/error.h"
#include "whence/data/images.h"
#include "whence/io/checksum.h"

#include "orientation.h"
#include "row_marks.h"

namespace whence {
namespace {

constexpr std::int64_t piece_bytes = std::int64_t{1} << 23;

template <typename From>
double number_at(const std::uint8_t* from, bool swapped) {
  std::uint8_t bytes[sizeof(From)];
  std::memcpy(bytes, from, sizeof bytes);
  if (swapped) std::reverse(bytes, bytes + sizeof bytes);
  From value;
  std::memcpy(&value, bytes, sizeof value);
  return static_cast<double>(value);
}

template <typename From, typename T>
void convert_row(const std::uint8_t* from, std::int64_t width, bool swapped, T* out) {
  for (std::int64_t i = 0; i < width; ++i)
    out[i] = static_cast<T>(number_at<From>(from + i * sizeof(From), swapped));
}

template <typename T>
void convert_row(at::ScalarType type, const std::uint8_t* from, std::int64_t width, bool swapped, T* out) {
  if (type == at::kHalf) return convert_row<c10::Half, T>(from, width, swapped, out);
  if (type == at::kFloat) return convert_row<float, T>(from, width, swapped, out);
  convert_row<double, T>(from, width, swapped, out);
}

double number_at(at::ScalarType type, const std::uint8_t* from, bool swapped) {
  if (type == at::kHalf) return number_at<c10::Half>(from, swapped);
  return type == at::kFloat ? number_at<float>(from, swapped) : number_at<double>(from, swapped);
}

template <typename T>
void look_up(const std::uint8_t* from, std::int64_t width, const at::Tensor& pixels, T* out) {
  const T* of_byte = pixels.data_ptr<T>();
  for (std::int64_t i = 0; i < width; ++i) out[i] = of_byte[from[i]];
}

at::Tensor pixel_table(const RowForm& form) {
  std::uint8_t bytes[256];
  std::iota(bytes, bytes + 256, std::uint8_t{0});
  at::Tensor table = at::empty({256}, form.dtype);
  form.dtype == at::kFloat ? scale_pixels(bytes, 256, form.pixels, table.data_ptr<float>())
                           : scale_pixels(bytes, 256, form.pixels, table.data_ptr<double>());
  return table;
}

std::string in_words(const RawRows& raw, const RowForm& form) {
  return fmt::format("{}[{}] of {}{}; {}, pixels {}, turned {}, size {}{}",
                     raw.array.empty() ? "" : raw.array + " ", fmt::join(raw.shape, ", "),
                     c10::toString(raw.type), raw.swapped ? " swapped" : "", c10::toString(form.dtype),
                     static_cast<int>(form.pixels), static_cast<int>(form.orientation), form.image_size,
                     form.round_resized ? " rounded" : "");
}

}  // namespace

std::int64_t RawRows::rows() const {
  std::int64_t sum = 0;
  for (const Part& part : parts) sum += part.rows;
  return sum;
}

std::int64_t RawRows::width() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

double RawRows::bytes() const {
  return static_cast<double>(rows()) * static_cast<double>(width()) *
         static_cast<double>(c10::elementSize(type));
}

std::int64_t FileRows::row_bytes() const {
  return raw_.width() * static_cast<std::int64_t>(c10::elementSize(raw_.type));
}

// Name, size and time; also part of what tells two ranks' files apart is the file's number on its disk.
std::string FileRows::state_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    fail("{}: cannot be opened ({})", std::filesystem::absolute(path).string(), std::strerror(errno));
  const std::string state =
      fmt::format("{}, {} bytes, of {}.{:09}", std::filesystem::path(path).filename().string(),
                  static_cast<std::int64_t>(status.st_size), static_cast<std::int64_t>(status.st_mtim.tv_sec),
                  status.st_mtim.tv_nsec);
  identity_ =
      identity_ * 31 + std::hash<std::string>()(fmt::format("{} {}", state, std::uint64_t{status.st_ino}));
  return state;
}

FileRows::Open FileRows::opened(const RawRows::Part& part) {
  Open file{{new int(::open(part.path.c_str(), O_RDONLY | O_CLOEXEC)), [](int* descriptor) {
               if (*descriptor >= 0) ::close(*descriptor);
               delete descriptor;
             }}};
  struct stat status {};
  if (*file.descriptor < 0 || ::fstat(*file.descriptor, &status) != 0)
    fail("{}: cannot be opened ({})", std::filesystem::absolute(part.path).string(), std::strerror(errno));
  file.size = status.st_size;
  file.seconds = status.st_mtim.tv_sec;
  file.nanoseconds = status.st_mtim.tv_nsec;
  return file;
}

FileRows::FileRows(RawRows raw, const RowForm& form, DataAccess access)
    : raw_(std::move(raw)), form_(form), access_(std::move(access)), shape_(formed_shape(raw_.shape, form)) {
  width_ = std::accumulate(shape_.begin(), shape_.end(), std::int64_t{1}, std::multiplies<>());
  if (raw_.type == at::kByte) pixels_ = pixel_table(form_);
  if (raw_.origins.empty())
    for (const RawRows::Part& part : raw_.parts) raw_.origins.push_back(part.path);
  for (const std::string& origin : raw_.origins) described_ += state_of(origin) + "; ";
  described_ += this->form();
  std::int64_t first = 0;
  for (const RawRows::Part& part : raw_.parts) {
    open_.push_back(opened(part));
    open_.back().first = first;
    first += part.rows;
    if (open_.back().size < part.begin + (part.rows - 1) * raw_.stride + row_bytes())
      fail("{}: ends early, before the last of its {} rows", part.path, part.rows);
  }
}

void FileRows::expect_unchanged() const {
  for (std::size_t number = 0; number < open_.size(); ++number) {
    const Open& file = open_[number];
    struct stat status {};
    if (::fstat(*file.descriptor, &status) == 0 &&
        (status.st_size != file.size || status.st_mtim.tv_sec != file.seconds ||
         status.st_mtim.tv_nsec != file.nanoseconds))
      fail(
          "{}: was changed while this job was reading it ({} bytes then, {} now); a file of data has to stay "
          "as it is until the job has ended",
          raw_.parts[number].path, file.size, static_cast<std::int64_t>(status.st_size));
  }
}

void FileRows::read_bytes(std::size_t number, std::int64_t begin, std::int64_t bytes,
                          std::uint8_t* out) const {
  const Open& file = open_[number];
  const std::string& path = raw_.parts[number].path;
  for (std::int64_t done = 0; done < bytes;) {
    const ssize_t got = ::pread(*file.descriptor, out + done, bytes - done, begin + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot be read ({})", path, std::strerror(errno));
    if (got == 0) {
      expect_unchanged();
      fail("{}: ends early, although it is as long as before", path);
    }
    done += got;
  }
}

// Rows `row` to row + count - 1, all of one part, `stride` bytes apart; the last one without what is between.
void FileRows::read_stretch(std::int64_t row, std::int64_t count, std::uint8_t* out) const {
  for (std::size_t number = 0; count > 0; ++number) {
    const RawRows::Part& part = raw_.parts.at(number);
    const std::int64_t skipped = row - open_[number].first;
    if (skipped >= part.rows) continue;
    const std::int64_t some = std::min(count, part.rows - skipped);
    read_bytes(number, part.begin + skipped * raw_.stride, (some - 1) * raw_.stride + row_bytes(), out);
    out += some * raw_.stride;
    row += some;
    count -= some;
  }
}

at::Tensor FileRows::numbers(const std::uint8_t* bytes, std::int64_t count,
                             const std::function<void(std::int64_t, double)>& not_finite) const {
  const std::int64_t width = raw_.width();
  at::Tensor values = at::empty({count, width}, form_.dtype);
  const auto convert = [&](auto* out) {
    for (std::int64_t i = 0; i < count; ++i, out += width) {
      const std::uint8_t* from = bytes + i * raw_.stride;
      if (raw_.type == at::kByte) {
        look_up(from, width, pixels_, out);
        continue;
      }
      convert_row(raw_.type, from, width, raw_.swapped, out);
      const auto* bad = std::find_if(out, out + width, [](auto value) { return !std::isfinite(value); });
      if (bad != out + width)
        not_finite(i, number_at(raw_.type, from + (bad - out) * c10::elementSize(raw_.type), raw_.swapped));
    }
  };
  form_.dtype == at::kFloat ? convert(values.data_ptr<float>()) : convert(values.data_ptr<double>());
  return formed(values, raw_.shape, form_);
}

at::Tensor FileRows::gather(const std::int64_t* rows, std::int64_t count) const {
  expect_unchanged();
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count * raw_.stride));
  for (std::int64_t i = 0; i < count;) {
    TORCH_CHECK(rows[i] >= 0 && rows[i] < size(), "no such row");
    std::int64_t end = i + 1;
    while (end < count && rows[end] == rows[end - 1] + 1 && rows[end] < size()) ++end;
    read_stretch(rows[i], end - i, bytes.data() + i * raw_.stride);
    i = end;
  }
  return numbers(bytes.data(), count, [&](std::int64_t i, double given) {
    fail("{}: row {} holds {}, which is not a number to train on", raw_.name, rows[i],
         std::isnan(given)      ? "NaN"
         : std::isfinite(given) ? "a number too large for --dtype float32"
                                : "an infinite number");
  });
}

std::int64_t FileRows::pieces() const {
  const std::int64_t each = piece(0).size();
  return (size() + each - 1) / each;
}

Range FileRows::piece(std::int64_t number) const {
  const std::int64_t each = std::max<std::int64_t>(1, piece_bytes / raw_.stride);
  return {std::min(size(), number * each), std::min(size(), (number + 1) * each)};
}

std::uint32_t FileRows::look_at(std::int64_t number, RowMarks* marks) const {
  expect_unchanged();
  const Range range = piece(number);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(range.size() * raw_.stride));
  read_stretch(range.begin, range.size(), bytes.data());
  if (marks != nullptr) {
    std::vector<std::int64_t> unfit;
    const at::Tensor values = numbers(bytes.data(), range.size(),
                                      [&](std::int64_t i, double) { unfit.push_back(range.begin + i); });
    for (std::int64_t i = 0; i < range.size(); ++i)
      form_.dtype == at::kFloat
          ? marks->mark(range.begin + i, values.data_ptr<float>() + i * width_, width_)
          : marks->mark(range.begin + i, values.data_ptr<double>() + i * width_, width_);
    // Whether anybody wants them is not known here.
    for (const std::int64_t row : unfit) marks->least[row] = std::numeric_limits<double>::quiet_NaN();
  }
  return crc32_of(bytes.data(), bytes.size());
}

std::string FileRows::form() const { return in_words(raw_, form_); }

// Two files of one name, size and time are not one here.
std::string FileRows::key() const { return fmt::format("{:x} {}", identity_, described_); }

std::shared_ptr<const RowMarks> FileRows::known_marks() const {
  if (marks_) return marks_;
  const auto known = access_.known->find(key());
  if (known != access_.known->end())
    marks_ = known->second;
  else if (auto kept = kept_marks(*this))
    know(std::move(kept));
  return marks_;
}

void FileRows::know(std::shared_ptr<const RowMarks> marks) const {
  marks_ = std::move(marks);
  (*access_.known)[key()] = marks_;
}

const RowMarks& FileRows::marks() const {
  if (known_marks() == nullptr) {
    MarkedPieces all(*this);
    for (std::int64_t i = 0; i < pieces(); ++i) all.piece[i] = look_at(i, &all.marks);
    keep_marks(*this, all);
    know(std::make_shared<RowMarks>(std::move(all.marks)));
  }
  return *marks_;
}

}  // namespace whence
