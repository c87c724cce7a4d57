#include "whence/tracin/layer_gradients.h"

#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include "whence/net/convolution.h"
#include "whence/net/patches.h"

namespace whence {
namespace {

// Patches of images, N of them, under a layer's kernel: [N, channels k^2, positions].
at::Tensor patches(const Stage& stage, const at::Tensor& images) {
  const PatchGrid grid = patch_grid(stage);
  return patch_columns(grid, planes_of(images, grid.image), images.size(0));
}

// [n m, width, positions] to [n, m * positions, width].
at::Tensor by_instance(const at::Tensor& values, std::int64_t n) {
  return values.transpose(1, 2).reshape({n, -1, values.size(1)});
}

// [n, p q] of convolutions, an instance at a time, as the library takes all samples it is given together.
at::Tensor sums_of(const Stage& stage, const at::Tensor& image, const at::Tensor& places, std::int64_t n) {
  const PatchGrid grid = patch_grid(stage);
  const std::int64_t samples = image.size(0) / n;
  std::vector<at::Tensor> each;
  for (std::int64_t i = 0; i < n; ++i)
    each.push_back(
        kernel_gradient(grid, image.narrow(0, i * samples, samples), places.narrow(0, i * samples, samples))
            .flatten());
  return at::stack(each);
}

}  // namespace

LayerExtent extent_of(const Stage& stage, std::int64_t samples) {
  const ImageSize &in = stage.in, &out = stage.out;
  const std::int64_t taps = stage.layer.kernel * stage.layer.kernel;
  if (stage.layer.kind == LayerKind::transposed)
    return {samples * in.height * in.width, in.channels, out.channels * taps, out.channels};
  if (stage.layer.kind == LayerKind::convolution)
    return {samples * out.height * out.width, out.channels, in.channels * taps, out.channels};
  return {samples, out.values(), in.values(), out.values()};
}

ProductForm cheaper_form(const LayerExtent& layer, std::int64_t queries) {
  const double grams = static_cast<double>(queries) * layer.rows * layer.rows * (layer.left + layer.right);
  const double products = static_cast<double>(queries + layer.rows) * layer.left * layer.right;
  return grams <= products ? ProductForm::gram : ProductForm::product;
}

ProductForm cheaper_self_form(const LayerExtent& layer) {
  const double grams = static_cast<double>(layer.rows) * layer.rows * (layer.left + layer.right);
  const double products = static_cast<double>(1 + layer.rows) * layer.left * layer.right;
  return grams <= products ? ProductForm::gram : ProductForm::product;
}

bool added_up_at_once(const Stage& stage, std::int64_t samples, at::Device device) {
  return device.is_cpu() && stage.layer.kind != LayerKind::linear &&
         cheaper_self_form(extent_of(stage, samples)) == ProductForm::product;
}

LayerGradients gradients_of(const Stage& stage, const at::Tensor& input, const at::Tensor& by_output,
                            std::int64_t n) {
  const Layer& layer = stage.layer;
  const bool transposed = layer.kind == LayerKind::transposed;
  const at::Tensor out = planes_of(by_output, stage.out), in = planes_of(input, stage.in);
  const at::Tensor bias = out.sum({2, 3}).view({n, -1, stage.out.channels}).sum(1);
  if (added_up_at_once(stage, input.size(0) / n, input.device()))
    return {{}, {}, bias, transposed ? sums_of(stage, out, in, n) : sums_of(stage, in, out, n)};
  if (layer.kind == LayerKind::convolution)
    return {by_instance(out.flatten(2), n), by_instance(patches(stage, in), n), bias, {}};
  if (transposed) return {by_instance(in.flatten(2), n), by_instance(patches(stage, out), n), bias, {}};
  return {
      by_output.reshape({n, -1, stage.out.values()}), input.reshape({n, -1, stage.in.values()}), bias, {}};
}

void keep_rows(at::Tensor& all, std::int64_t count, std::int64_t first, const at::Tensor& rows) {
  if (!rows.defined()) return;
  if (!all.defined()) {
    std::vector<std::int64_t> sizes = rows.sizes().vec();
    sizes[0] = count;
    all = at::empty(sizes, rows.options());
  }
  all.narrow(0, first, rows.size(0)).copy_(rows);
}

}  // namespace whence
