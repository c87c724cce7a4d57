#include "whence/io/checksum.h"

#include <libdeflate.h>
#include <zlib.h>

namespace whence {

std::uint32_t crc32_of(const void* data, std::size_t bytes, std::uint32_t crc) {
  // The same CRC-32 as zlib's, by carry-less multiplication: ten times faster, which shows where every step
  // is recorded.
  return libdeflate_crc32(crc, data, bytes);
}

std::uint32_t crc32_of(const at::Tensor& values, std::uint32_t crc) {
  TORCH_CHECK(values.is_contiguous(), "a checksum needs a contiguous tensor");
  return values.numel() == 0 ? crc : crc32_of(values.data_ptr(), values.nbytes(), crc);
}

std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::size_t second_bytes) {
  return static_cast<std::uint32_t>(crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

}  // namespace whence
