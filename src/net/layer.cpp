#include "whence/net/layer.h"

#include <vector>

#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>

#include "whence/core/error.h"
#include "whence/net/activation.h"
#include "whence/net/convolution.h"
#include "whence/net/patches.h"

namespace whence {
namespace {

constexpr double norm_epsilon = 1e-12;

// LibTorch's convolutions of planes of pixels, or their adjoint (`reverse`).
at::Tensor convolve(const Stage& stage, const at::Tensor& x, const at::Tensor& weight, bool reverse) {
  const Layer& layer = stage.layer;
  const bool transposed = (layer.kind == LayerKind::transposed) != reverse;
  if (!x.device().is_cpu())
    return at::convolution(x, weight, c10::nullopt, {layer.stride, layer.stride},
                           {layer.padding, layer.padding}, {1, 1}, transposed, {0, 0}, 1);
  const PatchGrid grid = patch_grid(stage);
  return transposed ? transposed_convolved(grid, x, weight) : convolved(grid, x, weight);
}

at::Tensor each_replica(const Stage& stage, const at::Tensor* tensors, const at::Tensor& h) {
  std::vector<at::Tensor> each;
  for (std::int64_t r = 0; r < h.size(0); ++r)
    each.push_back(affine(stage, tensors[0][r], tensors[1][r], h[r]));
  return at::stack(each).flatten(2);
}

// The kernels of R replicas as matrices, [R, out, in k^2] or, of a transposed convolution, [R, out k^2, in].
at::Tensor kernel_matrices(const Stage& stage, const at::Tensor& weight) {
  const bool transposed = stage.layer.kind == LayerKind::transposed;
  if (stage.layer.order == WeightOrder::channels_first)
    return transposed ? weight.flatten(2).transpose(1, 2) : weight.flatten(2);
  if (transposed) return weight.permute({0, 4, 1, 2, 3}).reshape({weight.size(0), -1, stage.in.channels});
  return weight.permute({0, 4, 3, 1, 2}).reshape({weight.size(0), stage.out.channels, -1});
}

// All replicas at once, from patches: x [R m, in, h, w].
at::Tensor convolve_by_patches(const Stage& stage, const at::Tensor& weight, const at::Tensor& x) {
  const std::int64_t replicas = weight.size(0);
  const PatchGrid grid = patch_grid(stage);
  const at::Tensor matrices = kernel_matrices(stage, weight);
  if (stage.layer.kind == LayerKind::convolution)
    return sample_by_sample(at::bmm(matrices, patch_columns(grid, x, replicas)), grid.places());
  return add_patch_columns(grid, at::bmm(matrices, side_by_side(x.flatten(2), replicas)));
}

// Ba, Kiros and Hinton, "Layer Normalization", 2016, over all values of a sample; h [R, m, channels, pixels].
at::Tensor normalised(const at::Tensor& h, const at::Tensor& gain, const at::Tensor& offset) {
  const at::Tensor centred = h - h.flatten(2).mean(2).unsqueeze(2).unsqueeze(3);
  const at::Tensor variance = centred.square().flatten(2).mean(2).unsqueeze(2).unsqueeze(3);
  return centred / (variance + norm_epsilon).sqrt() * gain.unsqueeze(1).unsqueeze(3) +
         offset.unsqueeze(1).unsqueeze(3);
}

// Max-pooling of 2 x 2 pixels; the derivative of LibTorch's own is not the same bits every time on a GPU.
at::Tensor largest_of_four(const at::Tensor& x) {
  const auto corner = [&](std::int64_t row, std::int64_t column) {
    return x.slice(2, row, x.size(2) / 2 * 2, 2).slice(3, column, x.size(3) / 2 * 2, 2);
  };
  return at::maximum(at::maximum(corner(0, 0), corner(0, 1)), at::maximum(corner(1, 0), corner(1, 1)));
}

}  // namespace

Layer linear_layer(std::int64_t out, Activation activation, bool bias) {
  return {LayerKind::linear, 1, 1, 0, out, activation, false, WeightOrder::channels_first, bias};
}

Layer channels_first_layer(LayerKind kind, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                           std::int64_t out, Activation activation) {
  return {kind, kernel, stride, padding, out, activation, false, WeightOrder::channels_first};
}

ImageSize output_of(const Layer& layer, const ImageSize& in, const std::string& name) {
  if (layer.kind == LayerKind::linear) return {layer.out, 1, 1};
  const auto side = [&](std::int64_t length) {
    if (layer.kind == LayerKind::pool) return length / 2;
    if (layer.kind == LayerKind::transposed)
      return (length - 1) * layer.stride + layer.kernel - 2 * layer.padding;
    const std::int64_t room = length + 2 * layer.padding - layer.kernel;
    // With channels first a remainder would leave pixels that no kernel sees, and the derivative by x another
    // size than x.
    if (room < 0 || (layer.order == WeightOrder::channels_first && room % layer.stride != 0))
      return std::int64_t{0};
    return room / layer.stride + 1;
  };
  const ImageSize out{layer.kind == LayerKind::pool ? in.channels : layer.out, side(in.height),
                      side(in.width)};
  if (out.height < 1 || out.width < 1)
    fail("{}: a kernel of {}, stride {} and padding {} does not fit into {} x {} pixels", name, layer.kernel,
         layer.stride, layer.padding, in.height, in.width);
  return out;
}

at::Tensor planes_of(const at::Tensor& x, const ImageSize& size) {
  return x.dim() == 4 ? x : x.reshape({-1, size.channels, size.height, size.width});
}

at::Tensor affine(const Stage& stage, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x) {
  if (stage.layer.kind == LayerKind::linear) return at::addmm(bias, x.flatten(1), weight.t());
  return convolve(stage, planes_of(x, stage.in), weight, false) + bias.view({-1, 1, 1});
}

at::Tensor affine_pull_back(const Stage& stage, const at::Tensor& weight, const at::Tensor& by_output) {
  if (stage.layer.kind == LayerKind::linear) return at::mm(by_output.flatten(1), weight);
  return convolve(stage, planes_of(by_output, stage.out), weight, true);
}

// W h^T rather than h W^T: autograd then forms the gradient of W in W's own layout, without a copy.
at::Tensor linear_output(const Stage& stage, const at::Tensor* tensors, const at::Tensor& h) {
  const at::Tensor columns = h.transpose(1, 2);
  return (stage.layer.bias ? at::baddbmm(tensors[1].unsqueeze(2), tensors[0], columns)
                           : at::bmm(tensors[0], columns))
      .transpose(1, 2);
}

at::Tensor layer_output(const Stage& stage, const at::Tensor* tensors, const at::Tensor& h,
                        double kink_width) {
  const Layer& layer = stage.layer;
  const std::int64_t replicas = h.size(0), samples = h.size(1);
  if (layer.kind == LayerKind::pool)
    return largest_of_four(planes_of(h, stage.in)).reshape({replicas, samples, stage.out.values()});
  if (layer.kind == LayerKind::linear)
    return activate(layer.activation, linear_output(stage, tensors, h), kink_width, layer.leak);
  // Devices are slow at asking: there several replicas are one operation, and one has the library's own.
  if (layer.order == WeightOrder::channels_first && (h.device().is_cpu() || replicas == 1))
    return activate(layer.activation, each_replica(stage, tensors, h), kink_width, layer.leak);
  at::Tensor y = convolve_by_patches(stage, tensors[0], planes_of(h, stage.in))
                     .reshape({replicas, samples, stage.out.channels, -1}) +
                 tensors[1].unsqueeze(1).unsqueeze(3);
  y = activate(layer.activation, y, kink_width, layer.leak);
  if (layer.norm) y = normalised(y, tensors[2], tensors[3]);
  return y.reshape({replicas, samples, stage.out.values()});
}

}  // namespace whence
