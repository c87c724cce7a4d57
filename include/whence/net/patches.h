#pragma once
// The pixels that a convolution's kernel meets, as columns of a matrix, and their adjoint.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "whence/net/layer.h"

namespace whence {

/// The places of a square kernel on an image.
struct PatchGrid {
  ImageSize image;
  std::int64_t kernel, stride, padding;
  std::int64_t rows, columns;  ///< places along the height and the width

  std::int64_t patch() const { return image.channels * kernel * kernel; }
  std::int64_t places() const { return rows * columns; }
};

/// Of the convolution that a stage is, or, for a transposed one, of that whose adjoint it is.
PatchGrid patch_grid(const Stage& stage);

/// x [R m, channels, height, width] as [R, patch, m places]: a column for each place of each sample, in it
/// channel by channel, row by row what the kernel meets. Differentiable, twice if need be, and on a device in
/// a number of operations that does not depend on m.
at::Tensor patch_columns(const PatchGrid& grid, const at::Tensor& x, std::int64_t replicas);
/// Its adjoint: [R m, channels, height, width] from [R, patch, m places], columns added up where patches
/// overlap.
at::Tensor add_patch_columns(const PatchGrid& grid, const at::Tensor& columns);

/// x [R m, features, places] of R replicas' samples as [R, features, m places], and back.
at::Tensor side_by_side(const at::Tensor& x, std::int64_t replicas);
at::Tensor sample_by_sample(const at::Tensor& columns, std::int64_t places);

}  // namespace whence
