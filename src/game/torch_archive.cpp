#include "torch_archive.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <zlib.h>

#include "whence/core/error.h"
#include "whence/core/text.h"

namespace whence {
namespace {

// APPNOTE.TXT of the zip format, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
constexpr std::uint32_t local_mark = 0x04034b50, entry_mark = 0x02014b50, end_mark = 0x06054b50,
                        locator_mark = 0x07064b50, in_extra_field = 0xffffffff;
constexpr std::size_t local_size = 30, entry_size = 46, end_size = 22, locator_size = 20,
                      longest_comment = 65535;

struct Entry {
  std::string name;
  std::uint64_t packed, size, place;
  std::uint32_t crc;
  std::uint16_t method;
};

template <typename Number>
std::optional<Number> number_at(std::string_view bytes, std::uint64_t place) {
  if (place > bytes.size() || bytes.size() - place < sizeof(Number)) return std::nullopt;
  Number value;
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return value;
}

std::optional<std::string_view> part(std::string_view bytes, std::uint64_t place, std::uint64_t size) {
  if (place > bytes.size() || bytes.size() - place < size) return std::nullopt;
  return bytes.substr(place, size);
}

std::optional<std::size_t> end_of_archive(std::string_view bytes) {
  for (std::size_t back = end_size; back <= std::min(bytes.size(), end_size + longest_comment); ++back)
    if (number_at<std::uint32_t>(bytes, bytes.size() - back) == end_mark) return bytes.size() - back;
  return std::nullopt;
}

// Where the directory begins and how many entries it has; a large archive says so in a record before the end.
bool find_directory(std::string_view bytes, std::size_t end, std::uint64_t& place, std::uint64_t& count) {
  place = *number_at<std::uint32_t>(bytes, end + 16);
  count = *number_at<std::uint16_t>(bytes, end + 10);
  if (place != in_extra_field && count != 0xffff) return true;
  if (end < locator_size || number_at<std::uint32_t>(bytes, end - locator_size) != locator_mark) return false;
  const std::uint64_t large = *number_at<std::uint64_t>(bytes, end - locator_size + 8);
  const auto found_count = number_at<std::uint64_t>(bytes, large + 32),
             found_place = number_at<std::uint64_t>(bytes, large + 48);
  if (!found_count || !found_place) return false;
  count = *found_count;
  place = *found_place;
  return true;
}

// Sizes and places of 64 bits stand behind the name, those that are needed, in this order.
bool fill_from_extra_field(Entry& entry, std::string_view extra) {
  std::uint64_t at = 0;
  while (true) {
    const auto kind = number_at<std::uint16_t>(extra, at), length = number_at<std::uint16_t>(extra, at + 2);
    if (!kind || !length) return false;
    at += 4;
    if (*kind == 1) break;
    at += *length;
  }
  for (std::uint64_t* value : {&entry.size, &entry.packed, &entry.place}) {
    if (*value != in_extra_field) continue;
    const auto found = number_at<std::uint64_t>(extra, at);
    if (!found) return false;
    *value = *found;
    at += 8;
  }
  return true;
}

// The entry at `at` of the directory, which it moves on; none where there is none.
std::optional<Entry> entry_at(std::string_view bytes, std::uint64_t& at) {
  const auto fixed = part(bytes, at, entry_size);
  if (!fixed || number_at<std::uint32_t>(*fixed, 0) != entry_mark) return std::nullopt;
  const std::uint64_t name = *number_at<std::uint16_t>(*fixed, 28),
                      extra = *number_at<std::uint16_t>(*fixed, 30),
                      comment = *number_at<std::uint16_t>(*fixed, 32);
  const auto text = part(bytes, at + entry_size, name), more = part(bytes, at + entry_size + name, extra);
  if (!text || !more) return std::nullopt;
  Entry entry{std::string(*text),
              *number_at<std::uint32_t>(*fixed, 20),
              *number_at<std::uint32_t>(*fixed, 24),
              *number_at<std::uint32_t>(*fixed, 42),
              *number_at<std::uint32_t>(*fixed, 16),
              *number_at<std::uint16_t>(*fixed, 10)};
  const bool long_one = std::max({entry.packed, entry.size, entry.place}) >= in_extra_field;
  if (long_one && !fill_from_extra_field(entry, *more)) return std::nullopt;
  at += entry_size + name + extra + comment;
  return entry;
}

std::optional<std::uint32_t> crc_of_deflated(std::string_view packed, std::uint64_t size) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return std::nullopt;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string piece(1 << 16, '\0');
  uLong crc = 0;
  std::uint64_t total = 0;
  int told = Z_OK;
  while (told == Z_OK && total <= size) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    told = inflate(&stream, Z_NO_FLUSH);
    const std::size_t made = piece.size() - stream.avail_out;
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), made);
    total += made;
  }
  inflateEnd(&stream);
  if (told != Z_STREAM_END || total != size) return std::nullopt;
  return static_cast<std::uint32_t>(crc);
}

bool whole(std::string_view bytes, const Entry& entry) {
  const auto header = part(bytes, entry.place, local_size);
  if (!header || number_at<std::uint32_t>(*header, 0) != local_mark) return false;
  const std::uint64_t name = *number_at<std::uint16_t>(*header, 26),
                      extra = *number_at<std::uint16_t>(*header, 28);
  if (part(bytes, entry.place + local_size, name) != std::string_view(entry.name)) return false;
  const auto packed = part(bytes, entry.place + local_size + name + extra, entry.packed);
  if (!packed) return false;
  if (entry.method == Z_DEFLATED) return crc_of_deflated(*packed, entry.size) == entry.crc;
  return entry.method == 0 && entry.packed == entry.size &&
         crc32_z(0, reinterpret_cast<const Bytef*>(packed->data()), packed->size()) == entry.crc;
}

}  // namespace

std::string read_torch_archive(const std::string& path, const std::string& what) {
  if (std::filesystem::is_directory(path)) fail("{}: is a folder, but should be a file of PyTorch", path);
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("{}: cannot be read; it should be a file of PyTorch", path);
  std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto end = end_of_archive(bytes);
  if (!end) fail("{}: is {}, or is cut short (it is no archive of records)", path, what);
  std::uint64_t at = 0, count = 0;
  if (!find_directory(bytes, *end, at, count))
    fail("{}: is {}, or is damaged or cut short (where its records are)", path, what);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = entry_at(bytes, at);
    if (!entry) fail("{}: is {}, or is damaged or cut short (its list of records)", path, what);
    if (!whole(bytes, *entry))
      fail("{}: is damaged: its record {} is not what it was when it was written", path,
           visible(entry->name, 80));
  }
  return bytes;
}

}  // namespace whence
