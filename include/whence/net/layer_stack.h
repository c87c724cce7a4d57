#pragma once
// Affine layers with ReLU between them: linear, convolution, transposed convolution.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/net/layout.h"

namespace whence {

enum class LayerKind { linear, convolution, transposed };

/// y = W x + b, then ReLU where `relu` says so. Images have square planes, [channels, side, side], and square
/// kernels. Weights: [out, in]; convolution [out, in, k, k]; transposed convolution [in, out, k, k].
struct Layer {
  LayerKind kind;
  std::int64_t in, out;  ///< features, or channels
  bool relu;
  std::int64_t kernel = 1, stride = 1, padding = 0;
  std::int64_t side_in = 1, side_out = 1;  ///< pixels

  std::int64_t width_in() const { return in * side_in * side_in; }
  std::int64_t width_out() const { return out * side_out * side_out; }
};

Layer linear_layer(std::int64_t in, std::int64_t out, bool relu);
Layer convolution_layer(std::int64_t in, std::int64_t out, bool relu, std::int64_t side, std::int64_t kernel,
                        std::int64_t stride, std::int64_t padding);
Layer transposed_layer(std::int64_t in, std::int64_t out, bool relu, std::int64_t side, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding);

/// W x + b without ReLU: [n, width_out] from x [n, width_in].
at::Tensor apply(const Layer& layer, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x);
/// The derivative by x [n, width_in] from that by y [n, width_out].
at::Tensor pull_back(const Layer& layer, const at::Tensor& weight, const at::Tensor& by_output);

/// Layers one after another, as a function of the flat parameter vector.
class LayerStack {
 public:
  /// Adds "NAME.0.weight", "NAME.0.bias", "NAME.1.weight", ... to the player's block of `layout`. fan_in and
  /// fan_out count as PyTorch does: for a transposed convolution from [in, out, k, k] fan_in is out k^2.
  LayerStack(ParameterLayout& layout, std::int64_t player, const std::string& name,
             std::vector<Layer> layers);

  /// [R, m, width_out] from `tensors` (all of the layout's, [R, ...]) and x [m, width_in] or
  /// [R, m, width_in]. Replica r depends on its own slices alone, bit for bit.
  at::Tensor forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x, double kink_width) const;

  const std::vector<Layer>& layers() const { return layers_; }
  /// Position of layer l's weight in the layout; its bias follows.
  std::size_t weight_place(std::size_t l) const { return first_ + 2 * l; }

 private:
  std::vector<Layer> layers_;
  std::size_t first_;
};

}  // namespace whence
