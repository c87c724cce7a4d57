#pragma once
// CRC-32 (the one of zlib and PNG) of memory and tensors.

#include <array>
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace whence {

/// CRC-32 of `bytes` bytes, continuing from `crc` (0 at the start).
std::uint32_t crc32_of(const void* data, std::size_t bytes, std::uint32_t crc = 0);
/// CRC-32 of a contiguous CPU tensor's bytes.
std::uint32_t crc32_of(const at::Tensor& values, std::uint32_t crc = 0);
/// CRC-32 of the bytes of `first` followed by the `second_bytes` bytes of `second`, from their CRC-32s.
std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::size_t second_bytes);

/// crc32_joined for many pieces of one length, in some nanoseconds each.
class Crc32Join {
 public:
  explicit Crc32Join(std::size_t second_bytes);
  std::uint32_t operator()(std::uint32_t first, std::uint32_t second) const;

 private:
  std::array<std::array<std::uint32_t, 256>, 4> moved_;  ///< what the bytes of `first` add
};

}  // namespace whence
