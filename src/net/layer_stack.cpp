#include "whence/net/layer_stack.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>

#include "whence/core/error.h"
#include "whence/net/activation.h"

namespace whence {
namespace {

at::Tensor convolve(const Layer& layer, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                    bool transposed) {
  return at::convolution(x, weight, bias.defined() ? c10::optional<at::Tensor>(bias) : c10::nullopt,
                         {layer.stride, layer.stride}, {layer.padding, layer.padding}, {1, 1}, transposed,
                         {0, 0}, 1);
}

at::Tensor planes(const at::Tensor& flat, std::int64_t channels, std::int64_t side) {
  return flat.reshape({flat.size(0), channels, side, side});
}

}  // namespace

Layer linear_layer(std::int64_t in, std::int64_t out, bool relu) {
  return {LayerKind::linear, in, out, relu};
}

Layer convolution_layer(std::int64_t in, std::int64_t out, bool relu, std::int64_t side, std::int64_t kernel,
                        std::int64_t stride, std::int64_t padding) {
  // A remainder would leave pixels that no kernel sees, and the derivative by x another size than x.
  if (side + 2 * padding < kernel || (side + 2 * padding - kernel) % stride != 0)
    fail("a convolution of kernel {}, stride {} and padding {} does not fit {} pixels", kernel, stride,
         padding, side);
  return {LayerKind::convolution,
          in,
          out,
          relu,
          kernel,
          stride,
          padding,
          side,
          (side + 2 * padding - kernel) / stride + 1};
}

Layer transposed_layer(std::int64_t in, std::int64_t out, bool relu, std::int64_t side, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding) {
  return {LayerKind::transposed,
          in,
          out,
          relu,
          kernel,
          stride,
          padding,
          side,
          (side - 1) * stride - 2 * padding + kernel};
}

at::Tensor apply(const Layer& layer, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x) {
  if (layer.kind == LayerKind::linear) return at::addmm(bias, x, weight.t());
  return convolve(layer, planes(x, layer.in, layer.side_in), weight, bias,
                  layer.kind == LayerKind::transposed)
      .reshape({x.size(0), layer.width_out()});
}

at::Tensor pull_back(const Layer& layer, const at::Tensor& weight, const at::Tensor& by_output) {
  if (layer.kind == LayerKind::linear) return at::mm(by_output, weight);
  return convolve(layer, planes(by_output, layer.out, layer.side_out), weight, {},
                  layer.kind == LayerKind::convolution)
      .reshape({by_output.size(0), layer.width_in()});
}

LayerStack::LayerStack(ParameterLayout& layout, std::int64_t player, const std::string& name,
                       std::vector<Layer> layers)
    : layers_(std::move(layers)), first_(layout.specs().size()) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const std::string prefix = name + "." + std::to_string(l);
    const std::int64_t taps = layer.kernel * layer.kernel;
    std::int64_t rows = layer.out, columns = layer.in;
    if (layer.kind == LayerKind::transposed) std::swap(rows, columns);
    std::vector<std::int64_t> shape{rows, columns};
    if (layer.kind != LayerKind::linear) shape.insert(shape.end(), {layer.kernel, layer.kernel});
    layout.add(player, prefix + ".weight", shape, columns * taps, rows * taps, true);
    layout.add(player, prefix + ".bias", {layer.out}, columns * taps, rows * taps, false);
  }
}

at::Tensor LayerStack::forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                               double kink_width) const {
  const std::int64_t replicas = tensors[first_].size(0);
  at::Tensor h = x.dim() == 3 ? x : x.expand({replicas, -1, -1});
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const at::Tensor &weight = tensors[weight_place(l)], &bias = tensors[weight_place(l) + 1];
    if (layers_[l].kind == LayerKind::linear) {
      // W h^T rather than h W^T: autograd then forms the gradient of W in W's own layout, without a copy.
      h = at::baddbmm(bias.unsqueeze(2), weight, h.transpose(1, 2)).transpose(1, 2);
    } else {
      std::vector<at::Tensor> each;
      for (std::int64_t r = 0; r < replicas; ++r) each.push_back(apply(layers_[l], weight[r], bias[r], h[r]));
      h = at::stack(each);
    }
    if (layers_[l].relu) h = relu(h, kink_width);
  }
  return h;
}

}  // namespace whence
