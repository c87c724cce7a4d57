#include "whence/net/network.h"

#include <algorithm>

namespace whence {
namespace {

void add_weight(ParameterLayout& layout, std::int64_t player, const std::string& name, const Layer& layer,
                const ImageSize& in) {
  if (layer.kind == LayerKind::linear)
    return layout.add(player, name, {layer.out, in.values()}, in.values(), layer.out, true);
  const std::int64_t taps = layer.kernel * layer.kernel;
  if (layer.order == WeightOrder::channels_last)
    return layout.add(player, name, {layer.kernel, layer.kernel, in.channels, layer.out}, taps * in.channels,
                      taps * layer.out, true);
  std::int64_t rows = layer.out, columns = in.channels;
  if (layer.kind == LayerKind::transposed) std::swap(rows, columns);
  layout.add(player, name, {rows, columns, layer.kernel, layer.kernel}, columns * taps, rows * taps, true);
}

}  // namespace

Network::Network(ParameterLayout& layout, std::int64_t player, const std::string& name, ImageSize input,
                 const std::vector<Layer>& layers) {
  ImageSize in = input;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    const std::string full = name + "." + std::to_string(l);
    Stage stage{layer, in, output_of(layer, in, full), 0, 0, 0, 0, layout.specs().size()};
    if (layer.kind != LayerKind::pool) {
      stage.weight = layout.size();
      add_weight(layout, player, full + ".weight", layer, in);
      const ParameterSpec weight = layout.specs().back();
      const auto vector = [&](const std::string& what) {
        const std::int64_t begin = layout.size();
        layout.add(player, full + "." + what, {layer.out}, weight.fan_in, weight.fan_out, false);
        return begin;
      };
      if (layer.bias) stage.bias = vector("bias");
      if (layer.norm) {
        stage.gain = vector("gain");
        stage.offset = vector("offset");
      }
    }
    in = stage.out;
    stages_.push_back(stage);
  }
}

std::vector<at::Tensor> Network::outputs(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                                         const std::vector<std::size_t>& stages, double kink_width) const {
  std::int64_t replicas = 1;
  for (const Stage& stage : stages_)
    if (stage.layer.kind != LayerKind::pool) replicas = tensors[stage.first].size(0);
  std::vector<at::Tensor> wanted(stages.size());
  if (x.size(-2) == 0) {  // a rank without work; the graph goes on, with derivatives 0
    const at::Tensor nothing =
        (tensors[stages_.front().first].flatten(1).sum(1) * 0).reshape({replicas, 1, 1});
    for (std::size_t i = 0; i < stages.size(); ++i)
      wanted[i] = nothing.expand({replicas, 0, stages_[stages[i]].out.values()});
    return wanted;
  }
  at::Tensor h = x.dim() == 3 ? x : x.expand({replicas, -1, -1});
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    h = layer_output(stages_[s], tensors.data() + stages_[s].first, h, kink_width);
    for (std::size_t i = 0; i < stages.size(); ++i)
      if (stages[i] == s) wanted[i] = h;
  }
  return wanted;
}

at::Tensor Network::forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                            double kink_width) const {
  return outputs(tensors, x, {stages_.size() - 1}, kink_width)[0];
}

at::Tensor Network::forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                            DenseWatch& watch) const {
  const std::int64_t replicas = tensors[stages_.front().first].size(0);
  at::Tensor h = x.dim() == 3 ? x : x.expand({replicas, -1, -1});
  for (const Stage& stage : stages_)
    h = watch.activated(stage, h, linear_output(stage, tensors.data() + stage.first, h));
  return h;
}

bool Network::is_dense() const {
  return std::all_of(stages_.begin(), stages_.end(),
                     [](const Stage& stage) { return stage.layer.kind == LayerKind::linear; });
}

// Patches under a kernel and their copy by replica, and what bias, activation and norm keep of each value.
std::int64_t Network::graph_numbers() const {
  constexpr std::int64_t copies = 3, kept_each = 10;
  std::int64_t numbers = 0;
  for (const Stage& stage : stages_) {
    const Layer& layer = stage.layer;
    const bool transposed = layer.kind == LayerKind::transposed;
    const ImageSize& patched = transposed ? stage.in : stage.out;
    const std::int64_t depth = transposed ? stage.out.channels : stage.in.channels;
    if (layer.kind == LayerKind::convolution || transposed)
      numbers += copies * layer.kernel * layer.kernel * depth * patched.height * patched.width;
    numbers += kept_each * stage.out.values();
  }
  return numbers;
}

void Network::set_gains(at::Tensor& theta) const {
  for (const Stage& stage : stages_)
    if (stage.layer.norm) theta.narrow(0, stage.gain, stage.out.channels).fill_(1);
}

Network perceptron(ParameterLayout& layout, std::int64_t player, const std::string& name,
                   const std::vector<std::int64_t>& widths, Activation hidden, Activation output,
                   bool biases) {
  std::vector<Layer> layers;
  for (std::size_t l = 1; l < widths.size(); ++l)
    layers.push_back(linear_layer(widths[l], l + 1 < widths.size() ? hidden : output, biases));
  return {layout, player, name, {widths.front(), 1, 1}, layers};
}

}  // namespace whence
