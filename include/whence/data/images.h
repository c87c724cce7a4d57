#pragma once
// Bytes as pixels, and images of another size.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "whence/data/dataset.h"

namespace whence {

/// `count` bytes scaled to `range`, into float32 or float64 at `out`.
template <typename T>
void scale_pixels(const std::uint8_t* bytes, std::int64_t count, PixelRange range, T* out) {
  const double divisor = range == PixelRange::zero_to_one ? 255.0 : 127.5;
  const double offset = range == PixelRange::zero_to_one ? 0.0 : 1.0;
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(bytes[i] / divisor - offset);
}

/// Planes [n, h, w], float32 or float64, resized to [n, height, width] by bilinear interpolation between
/// pixel centres; beyond the outermost centres an image goes on as it is at its edge. Not rounded to bytes.
at::Tensor resize_bilinear(const at::Tensor& planes, std::int64_t height, std::int64_t width);

}  // namespace whence
