#pragma once
// One layer of a network: what it is, what it takes in and gives out, and what it computes.

#include <cstddef>
#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "whence/net/activation_kind.h"

namespace whence {

/// `linear`: W x + b. `convolution` and `transposed` (convolution): square kernels. `pool`: the largest of
/// each 2 x 2 pixels, without parameters.
enum class LayerKind { linear, convolution, transposed, pool };

/// How a convolution's weights lie in theta. `channels_last`: [k, k, in, out], as the GAN paper's authors and
/// the native kernels have them. `channels_first`: [out, in, k, k], transposed [in, out, k, k], as PyTorch
/// has them.
enum class WeightOrder { channels_last, channels_first };

/// y = affine or pooled x, then the activation, then, if `norm`, layer normalisation over all of a sample's
/// values (epsilon 1e-12) with a gain and an offset for each channel.
struct Layer {
  LayerKind kind;
  std::int64_t kernel, stride, padding;
  std::int64_t out;  ///< features, or channels
  Activation activation = Activation::linear;
  bool norm = false;
  WeightOrder order = WeightOrder::channels_last;
  bool bias = true;          ///< only linear layers can be without
  double leak = usual_leak;  ///< leaky_relu's slope below 0
};

/// y = act(W x + b) with `out` features.
Layer linear_layer(std::int64_t out, Activation activation, bool bias = true);
/// A convolution, or a transposed one, with PyTorch's weights.
Layer channels_first_layer(LayerKind kind, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                           std::int64_t out, Activation activation);

/// Planes of pixels; features are channels of one pixel.
struct ImageSize {
  std::int64_t channels, height, width;
  std::int64_t values() const { return channels * height * width; }
};

/// A layer within a network: its maps, and where its tensors are.
struct Stage {
  Layer layer;
  ImageSize in, out;
  std::int64_t weight = 0, bias = 0, gain = 0, offset = 0;  ///< where they begin in theta
  std::size_t first = 0;  ///< position of its first tensor, the weight, in the layout; the bias follows
};

/// What a layer makes of images of size `in`; Error naming `name` when it does not fit.
ImageSize output_of(const Layer& layer, const ImageSize& in, const std::string& name);

/// [n, channels, height, width] of x [n, values], or x as it is where it is that already.
at::Tensor planes_of(const at::Tensor& x, const ImageSize& size);

/// W x + b of one replica: [n, out] from x [n, in] or its planes; of a convolution planes, which may have
/// their channels last in memory. For linear layers and weights with channels first.
at::Tensor affine(const Stage& stage, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x);
/// The derivative by x from that by W x + b, in the same shapes.
at::Tensor affine_pull_back(const Stage& stage, const at::Tensor& weight, const at::Tensor& by_output);

/// W h + b [R, m, out] of a linear stage for R replicas of its tensors and h [R, m, in].
at::Tensor linear_output(const Stage& stage, const at::Tensor* tensors, const at::Tensor& h);

/// The stage's output [R, m, out] of R replicas of the tensors (`tensors`: its own, [R, shape...] each) for
/// h [R, m, in]: differentiable by LibTorch, twice if need be. `kink_width`: see relu().
at::Tensor layer_output(const Stage& stage, const at::Tensor* tensors, const at::Tensor& h,
                        double kink_width);

}  // namespace whence
