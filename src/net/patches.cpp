#include "whence/net/patches.h"

#include <ATen/ops/col2im.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/im2col.h>
#include <ATen/ops/unfold_backward.h>

namespace whence {
at::Tensor side_by_side(const at::Tensor& x, std::int64_t replicas) {
  const std::int64_t samples = x.size(0) / replicas;
  return x.reshape({replicas, samples, x.size(1), x.size(2)})
      .transpose(1, 2)
      .reshape({replicas, x.size(1), samples * x.size(2)});
}

at::Tensor sample_by_sample(const at::Tensor& columns, std::int64_t places) {
  const std::int64_t replicas = columns.size(0), samples = columns.size(2) / places;
  return columns.reshape({replicas, columns.size(1), samples, places})
      .transpose(1, 2)
      .reshape({replicas * samples, columns.size(1), places});
}

PatchGrid patch_grid(const Stage& stage) {
  const bool transposed = stage.layer.kind == LayerKind::transposed;
  const ImageSize &image = transposed ? stage.out : stage.in, &places = transposed ? stage.in : stage.out;
  return {image, stage.layer.kernel, stage.layer.stride, stage.layer.padding, places.height, places.width};
}

// LibTorch's im2col asks a device for one operation a sample, its unfold for one.
at::Tensor patch_columns(const PatchGrid& grid, const at::Tensor& x, std::int64_t replicas) {
  const std::int64_t k = grid.kernel, s = grid.stride, p = grid.padding;
  if (x.device().is_cpu()) return side_by_side(at::im2col(x, {k, k}, {1, 1}, {p, p}, {s, s}), replicas);
  const std::int64_t samples = x.size(0) / replicas;
  const at::Tensor padded = p == 0 ? x : at::constant_pad_nd(x, {p, p, p, p});
  return padded.reshape({replicas, samples, x.size(1), padded.size(2), padded.size(3)})
      .unfold(3, k, s)
      .unfold(4, k, s)
      .permute({0, 2, 5, 6, 1, 3, 4})
      .reshape({replicas, grid.patch(), samples * grid.places()});
}

at::Tensor add_patch_columns(const PatchGrid& grid, const at::Tensor& columns) {
  const std::int64_t k = grid.kernel, s = grid.stride, p = grid.padding;
  const ImageSize& image = grid.image;
  if (columns.device().is_cpu())
    return at::col2im(sample_by_sample(columns, grid.places()), {image.height, image.width}, {k, k}, {1, 1},
                      {p, p}, {s, s});
  const std::int64_t replicas = columns.size(0), samples = columns.size(2) / grid.places();
  const std::int64_t height = image.height + 2 * p, width = image.width + 2 * p;
  const at::Tensor patches =
      columns.reshape({replicas, image.channels, k, k, samples, grid.rows, grid.columns})
          .permute({0, 4, 1, 5, 6, 2, 3});
  const at::Tensor strips =
      at::unfold_backward(patches, {replicas, samples, image.channels, grid.rows, width, k}, /*dim=*/4, k, s);
  return at::unfold_backward(strips, {replicas, samples, image.channels, height, width}, /*dim=*/3, k, s)
      .narrow(3, p, image.height)
      .narrow(4, p, image.width)
      .reshape({replicas * samples, image.channels, image.height, image.width});
}

}  // namespace whence
