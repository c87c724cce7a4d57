#include "whence/data/idx.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <numeric>

#include "whence/core/error.h"

#include "packed_file.h"

namespace whence {
namespace {

constexpr std::size_t max_rank = 4;
constexpr std::uint64_t max_bytes = std::uint64_t{1} << 40;

std::uint32_t big_endian(const std::uint8_t* byte) {
  return std::uint32_t{byte[0]} << 24 | std::uint32_t{byte[1]} << 16 | std::uint32_t{byte[2]} << 8 | byte[3];
}

void read_header(PackedFile& reader, const std::string& path, std::uint8_t* out, std::size_t count) {
  const std::size_t got = reader.read(out, count);
  if (got < count) fail("{}: ends inside its IDX header, {} bytes early", path, count - got);
}

std::vector<std::int64_t> read_shape(PackedFile& reader, const std::string& path) {
  std::array<std::uint8_t, 4 * max_rank> header;
  read_header(reader, path, header.data(), 4);
  const std::uint32_t magic = big_endian(header.data());
  if (magic >> 8 != 0x000008) fail("{}: not an IDX file of unsigned bytes (magic 0x{:08x})", path, magic);
  const std::size_t rank = magic & 0xff;
  if (rank < 1 || rank > max_rank)
    fail("{}: an IDX file of rank {}, but only ranks 1 to {} can be read", path, rank, max_rank);

  read_header(reader, path, header.data(), 4 * rank);
  std::vector<std::int64_t> shape;
  std::uint64_t total = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::uint64_t size = big_endian(header.data() + 4 * i);
    if (size == 0) fail("{}: size {} of {} in its IDX header is 0", path, i + 1, rank);
    if (size > max_bytes / total) fail("{}: its IDX header promises more than {} bytes", path, max_bytes);
    total *= size;
    shape.push_back(static_cast<std::int64_t>(size));
  }
  return shape;
}

[[noreturn]] void fail_early(const std::string& path, std::size_t got, std::size_t total) {
  fail("{}: ends after {} of {} bytes of data", path, got, total);
}

[[noreturn]] void fail_late(const std::string& path, std::size_t extra) {
  fail("{}: {} bytes too many after the data", path, extra);
}

std::vector<std::uint8_t> read_elements(PackedFile& reader, const std::string& path, std::size_t total) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < total) {
    // At most as much again as the file has already given, so that a lying header costs little.
    const std::size_t have = bytes.size();
    const std::size_t want = std::min(total - have, std::max<std::size_t>(have, 1 << 20));
    bytes.reserve(have + want);
    bytes.resize(have + want);
    const std::size_t got = reader.read(bytes.data() + have, want);
    if (got < want) fail_early(path, have + got, total);
  }
  return bytes;
}

std::int64_t product_after_first(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin() + 1, shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Also makes zlib compare the checksum at the end of a gzip stream, which it does only on reading past the
// data.
void expect_end(PackedFile& reader, const std::string& path) {
  std::array<std::uint8_t, 4096> rest;
  std::size_t extra = 0;
  for (std::size_t got; (got = reader.read(rest.data(), rest.size())) > 0;) extra += got;
  if (extra > 0) fail_late(path, extra);
}

}  // namespace

std::int64_t IdxFile::width() const { return product_after_first(shape); }

std::int64_t IdxHeader::width() const { return product_after_first(shape); }

IdxHeader read_idx_header(const std::string& path) {
  PackedFile reader(path);
  IdxHeader header;
  header.shape = read_shape(reader, path);
  header.packed = reader.packed();
  header.begin = 4 + 4 * static_cast<std::int64_t>(header.shape.size());
  std::error_code code;
  if (header.packed || !std::filesystem::is_regular_file(path, code)) return header;
  const auto there = static_cast<std::int64_t>(std::filesystem::file_size(path)) - header.begin;
  const std::int64_t total = header.rows() * header.width();
  if (there < total) fail_early(path, there, total);
  if (there > total) fail_late(path, there - total);
  return header;
}

void unpack_idx(const std::string& path,
                const std::function<void(const void* bytes, std::size_t count)>& take) {
  PackedFile reader(path);
  const auto shape = read_shape(reader, path);
  const auto total = static_cast<std::size_t>(shape.front() * product_after_first(shape));
  std::vector<std::uint8_t> some(std::min<std::size_t>(total, 1 << 22));
  for (std::size_t done = 0; done < total;) {
    const std::size_t want = std::min(total - done, some.size()), got = reader.read(some.data(), want);
    if (got < want) fail_early(path, done + got, total);
    take(some.data(), got);
    done += got;
  }
  expect_end(reader, path);
}

IdxFile read_idx(const std::string& path) {
  PackedFile reader(path);
  IdxFile file;
  file.shape = read_shape(reader, path);
  file.bytes = read_elements(reader, path, static_cast<std::size_t>(file.rows() * file.width()));
  expect_end(reader, path);
  return file;
}

}  // namespace whence
