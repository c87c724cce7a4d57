#include "whence/data/npy.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

#include <ATen/ops/empty.h>
#include <c10/util/Half.h>

#include "whence/core/error.h"
#include "whence/core/text.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// The header is a Python dictionary of three known entries; this takes it apart without being Python.
class Header {
 public:
  Header(std::string_view text, const std::string& path) : rest_(text), path_(path) {}

  // Calls `entry` with each key; it has to take the value.
  template <typename Entry>
  void read(const Entry& entry) {
    expect('{');
    while (!accept('}')) {
      const std::string key = text();
      expect(':');
      entry(key);
      if (accept(',')) continue;
      expect('}');
      break;
    }
    blanks();
    if (!rest_.empty()) damaged();
  }

  std::string text() {
    blanks();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const std::size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) damaged();
    const std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return value;
  }

  bool yes_or_no() {
    blanks();
    for (const std::string_view word : {"True", "False"})
      if (rest_.substr(0, word.size()) == word) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    damaged();
  }

  std::vector<std::int64_t> sizes() {
    std::vector<std::int64_t> all;
    expect('(');
    while (!accept(')')) {
      blanks();
      std::size_t digits = 0;
      while (digits < rest_.size() && std::isdigit(static_cast<unsigned char>(rest_[digits])) != 0) ++digits;
      const auto size = whole_number(rest_.substr(0, digits));
      if (!size) damaged();
      all.push_back(*size);
      rest_.remove_prefix(digits);
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return all;
  }

  bool at(char sign) {
    blanks();
    return !rest_.empty() && rest_.front() == sign;
  }

 private:
  [[noreturn]] void damaged() const { fail("{}: its header is not that of a NumPy file", path_); }
  void blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char sign) {
    if (!at(sign)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char sign) {
    if (!accept(sign)) damaged();
  }

  std::string_view rest_;
  const std::string& path_;
};

std::string bytes_of(std::ifstream& file, std::size_t count, const std::string& path) {
  std::string bytes(count, '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(count))) fail("{}: ends inside its header", path);
  return bytes;
}

// The text of the header, and where it ends.
std::pair<std::string, std::int64_t> header_of(std::ifstream& file, const std::string& path) {
  std::string front(6, '\0');
  file.read(front.data(), 6);
  if (front.compare(0, 2, "PK") == 0)
    fail("{}: is an archive (.npz); save one array as .npy, with numpy.save", path);
  if (front != "\x93NUMPY") fail("{}: is not a NumPy file (.npy)", path);
  const std::string version = bytes_of(file, 2, path);
  if (version[0] < 1 || version[0] > 3 || version[1] != 0)
    fail("{}: is of version {}.{} of NumPy's format, and 1.0 to 3.0 are known", path,
         static_cast<unsigned char>(version[0]), static_cast<unsigned char>(version[1]));
  const std::string length = bytes_of(file, version[0] == 1 ? 2 : 4, path);
  std::size_t count = 0;
  for (std::size_t i = length.size(); i-- > 0;) count = count << 8 | static_cast<unsigned char>(length[i]);
  // NumPy itself reads no longer ones of files that it does not trust.
  if (count > 10'000) fail("{}: its header is {} bytes long, which no array needs", path, count);
  return {bytes_of(file, count, path), static_cast<std::int64_t>(8 + length.size() + count)};
}

struct Element {
  char order, kind;
  std::int64_t size;
};

Element element_of(const std::string& descr, const std::string& path) {
  const std::string_view orders = "<>|=", kinds = "uif";
  if (descr.size() == 2 && orders.find(descr[0]) == std::string::npos) return element_of("=" + descr, path);
  if (descr.size() == 3 && orders.find(descr[0]) != std::string::npos) {
    const Element element{descr[0], descr[1], descr[2] - '0'};
    const bool size = element.size == 1 || element.size == 2 || element.size == 4 || element.size == 8;
    const bool known = size && kinds.find(element.kind) != std::string::npos;
    if (known && (element.kind != 'f' || element.size > 1)) return element;
  }
  fail("{}: holds elements of the type '{}', not unsigned bytes, integers or floats of at most 64 bits", path,
       visible(descr, 30));
}

// The bytes of an array with these sizes, or nothing where no file could have so many.
std::optional<std::int64_t> bytes_for(const std::vector<std::int64_t>& shape, std::int64_t size) {
  std::int64_t bytes = size;
  for (const std::int64_t axis : shape) {
    if (axis > std::numeric_limits<std::int64_t>::max() / 16 / bytes) return std::nullopt;
    bytes *= axis;
  }
  return bytes;
}

template <typename T>
T number_at(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename From, typename To>
void convert(const std::string& bytes, at::Tensor& out) {
  To* value = out.data_ptr<To>();
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(From))
    *value++ = static_cast<To>(number_at<From>(bytes.data() + at));
}

void swap_each(std::string& bytes, std::int64_t size) {
  for (auto at = bytes.begin(); at != bytes.end(); at += size) std::reverse(at, at + size);
}

bool little_endian() {
  const std::uint16_t one = 1;
  return number_at<std::uint8_t>(reinterpret_cast<const char*>(&one)) == 1;
}

void convert_signed(const std::string& bytes, std::int64_t size, at::Tensor& out) {
  if (size == 1) return convert<std::int8_t, std::int64_t>(bytes, out);
  if (size == 2) return convert<std::int16_t, std::int64_t>(bytes, out);
  if (size == 4) return convert<std::int32_t, std::int64_t>(bytes, out);
  convert<std::int64_t, std::int64_t>(bytes, out);
}

void convert_unsigned(const std::string& bytes, std::int64_t size, at::Tensor& out) {
  if (size == 2) return convert<std::uint16_t, std::int64_t>(bytes, out);
  if (size == 4) return convert<std::uint32_t, std::int64_t>(bytes, out);
  convert<std::uint64_t, std::int64_t>(bytes, out);
}

void convert_reals(const std::string& bytes, std::int64_t size, at::Tensor& out) {
  if (size == 2) return convert<c10::Half, double>(bytes, out);
  if (size == 4) return convert<float, double>(bytes, out);
  convert<double, double>(bytes, out);
}

}  // namespace

NpyFile::NpyFile(const std::string& path) : path_(path) {
  std::error_code code;
  const auto status = fs::status(path, code);
  if (!fs::exists(status)) fail("{}: no such file", fs::absolute(path).string());
  if (!fs::is_regular_file(status)) fail("{}: is not a file", path);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be opened", path);
  std::string text;
  std::tie(text, begin_) = header_of(file, path);
  std::optional<std::string> descr;
  std::optional<bool> columns_first;
  std::optional<std::vector<std::int64_t>> shape;
  Header header(text, path);
  header.read([&](const std::string& key) {
    if (key == "descr" && header.at('[')) fail("{}: holds elements of several fields, not numbers", path);
    if (key == "descr" && !descr)
      descr = header.text();
    else if (key == "fortran_order" && !columns_first)
      columns_first = header.yes_or_no();
    else if (key == "shape" && !shape)
      shape = header.sizes();
    else
      fail("{}: its header is not that of a NumPy file", path);
  });
  if (!descr || !columns_first || !shape) fail("{}: its header is not that of a NumPy file", path);
  const Element element = element_of(*descr, path);
  kind_ = element.kind;
  size_ = element.size;
  swapped_ =
      size_ > 1 && (element.order == '>') == little_endian() && element.order != '|' && element.order != '=';
  shape_ = *shape;
  if (shape_.empty()) fail("{}: holds one number, without an axis that counts instances", path);
  if (std::find(shape_.begin(), shape_.end(), 0) != shape_.end())
    fail("{}: is empty, its shape is [{}]", path, fmt::join(shape_, ", "));
  if (*columns_first && shape_.size() > 1)
    fail("{}: has its first axis innermost (fortran_order); save numpy.ascontiguousarray of it", path);
  const auto promised = bytes_for(shape_, size_);
  const auto there = static_cast<std::int64_t>(fs::file_size(path)) - begin_;
  if (!promised || there < *promised)
    fail("{}: ends early, it holds {} bytes for the shape [{}] of '{}'", path, there, fmt::join(shape_, ", "),
         *descr);
  if (there > *promised) fail("{}: goes on after its numbers, by {} bytes", path, there - *promised);
}

NpyFile::Numbers NpyFile::numbers() const {
  if (kind_ == 'f') return Numbers::reals;
  return kind_ == 'u' && size_ == 1 ? Numbers::bytes : Numbers::integers;
}

std::int64_t NpyFile::width() const {
  std::int64_t numbers = 1;
  for (std::size_t axis = 1; axis < shape_.size(); ++axis) numbers *= shape_[axis];
  return numbers;
}

at::Tensor NpyFile::read(std::int64_t first, std::int64_t count) const {
  const std::int64_t row = width() * size_;
  std::ifstream file(path_, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(count * row), '\0');
  file.seekg(begin_ + first * row);
  if (!file.read(bytes.data(), count * row))
    fail("{}: rows {} to {} cannot be read", path_, first, first + count - 1);
  if (swapped_) swap_each(bytes, size_);
  const bool as_bytes = numbers() == Numbers::bytes;
  at::Tensor out = at::empty({count, width()}, as_bytes ? at::kByte : kind_ == 'f' ? at::kDouble : at::kLong);
  if (as_bytes)
    std::memcpy(out.data_ptr(), bytes.data(), bytes.size());
  else if (kind_ == 'f')
    convert_reals(bytes, size_, out);
  else
    kind_ == 'i' ? convert_signed(bytes, size_, out) : convert_unsigned(bytes, size_, out);
  return out;
}

}  // namespace whence
