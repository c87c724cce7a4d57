#include "whence/net/convnet.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/col2im.h>
#include <ATen/ops/im2col.h>
#include <ATen/ops/maximum.h>

#include "whence/core/error.h"
#include "whence/net/activation.h"

namespace whence {
namespace {

constexpr double norm_epsilon = 1e-12;

ImageSize output_of(const ConvLayer& layer, const ImageSize& in, const std::string& name) {
  const auto side = [&](std::int64_t length) {
    if (layer.kind == ConvKind::pool) return length / 2;
    if (layer.kind == ConvKind::transposed)
      return (length - 1) * layer.stride + layer.kernel - 2 * layer.padding;
    const std::int64_t room = length + 2 * layer.padding - layer.kernel;
    return room < 0 ? 0 : room / layer.stride + 1;
  };
  const ImageSize out{layer.kind == ConvKind::pool ? in.channels : layer.channels, side(in.height),
                      side(in.width)};
  if (out.height < 1 || out.width < 1)
    fail("{}: a kernel of {} does not fit into {} x {} pixels", name, layer.kernel, in.height, in.width);
  return out;
}

// Products of [R, rows, depth] matrices with the columns of x [R m, depth, positions]: [R m, rows,
// positions], one product a replica.
at::Tensor product_by_replica(const at::Tensor& matrices, const at::Tensor& x) {
  const std::int64_t replicas = matrices.size(0), samples = x.size(0) / replicas;
  const at::Tensor columns = x.reshape({replicas, samples, x.size(1), x.size(2)})
                                 .transpose(1, 2)
                                 .reshape({replicas, x.size(1), samples * x.size(2)});
  return at::bmm(matrices, columns)
      .reshape({replicas, matrices.size(1), samples, x.size(2)})
      .transpose(1, 2)
      .reshape({replicas * samples, matrices.size(1), x.size(2)});
}

// The products of a layer: x [R m, in, h, w] with weights [R, k, k, in, out].
at::Tensor convolve(const ConvStage& stage, const at::Tensor& weight, const at::Tensor& x) {
  const ConvLayer& layer = stage.layer;
  if (layer.kind == ConvKind::convolution) {
    const at::Tensor rows = weight.permute({0, 4, 3, 1, 2}).reshape({weight.size(0), stage.out.channels, -1});
    return product_by_replica(rows, at::im2col(x, {layer.kernel, layer.kernel}, {1, 1},
                                               {layer.padding, layer.padding}, {layer.stride, layer.stride}));
  }
  const at::Tensor rows = weight.permute({0, 4, 1, 2, 3}).reshape({weight.size(0), -1, stage.in.channels});
  return at::col2im(product_by_replica(rows, x.flatten(2)), {stage.out.height, stage.out.width},
                    {layer.kernel, layer.kernel}, {1, 1}, {layer.padding, layer.padding},
                    {layer.stride, layer.stride});
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

ConvNet::ConvNet(ParameterLayout& layout, std::int64_t player, const std::string& name, ImageSize input,
                 const std::vector<ConvLayer>& layers) {
  ImageSize in = input;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const ConvLayer& layer = layers[l];
    const std::string full = name + "." + std::to_string(l);
    ConvStage stage{layer, in, output_of(layer, in, full), 0, 0, 0, 0, layout.specs().size()};
    if (layer.kind != ConvKind::pool) {
      const std::int64_t taps = layer.kernel * layer.kernel;
      stage.weight = layout.size();
      layout.add(player, full + ".weight", {layer.kernel, layer.kernel, in.channels, layer.channels},
                 taps * in.channels, taps * layer.channels, true);
      const auto vector = [&](const std::string& what) {
        const std::int64_t begin = layout.size();
        layout.add(player, full + "." + what, {layer.channels}, 1, 1, false);
        return begin;
      };
      stage.bias = vector("bias");
      if (layer.norm) {
        stage.gain = vector("gain");
        stage.offset = vector("offset");
      }
    }
    in = stage.out;
    stages_.push_back(stage);
  }
}

std::vector<at::Tensor> ConvNet::outputs(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                                         const std::vector<std::size_t>& stages) const {
  std::int64_t replicas = 1;
  for (const ConvStage& stage : stages_)
    if (stage.layer.kind != ConvKind::pool) replicas = tensors[stage.first].size(0);
  const std::int64_t samples = x.size(-2);
  std::vector<at::Tensor> wanted(stages.size());
  if (samples == 0) {  // a rank without work; the graph goes on, with derivatives 0
    const at::Tensor nothing =
        (tensors[stages_.front().first].flatten(1).sum(1) * 0).reshape({replicas, 1, 1});
    for (std::size_t i = 0; i < stages.size(); ++i)
      wanted[i] = nothing.expand({replicas, 0, stages_[stages[i]].out.values()});
    return wanted;
  }
  at::Tensor h = x.dim() == 3 ? x : x.expand({replicas, -1, -1});
  for (const ConvStage& stage : stages_) {
    h = h.reshape({replicas * samples, stage.in.channels, stage.in.height, stage.in.width});
    if (stage.layer.kind == ConvKind::pool) {
      h = largest_of_four(h);
    } else {
      const at::Tensor* tensor = &tensors[stage.first];
      h = convolve(stage, tensor[0], h).reshape({replicas, samples, stage.out.channels, -1}) +
          tensor[1].unsqueeze(1).unsqueeze(3);
      h = activate(stage.layer.activation, h, 0);
      if (stage.layer.norm) h = normalised(h, tensor[2], tensor[3]);
    }
    for (std::size_t i = 0; i < stages.size(); ++i)
      if (&stages_[stages[i]] == &stage) wanted[i] = h.reshape({replicas, samples, -1});
  }
  return wanted;
}

at::Tensor ConvNet::forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x) const {
  return outputs(tensors, x, {stages_.size() - 1})[0];
}

// Patches under a kernel and their copy by replica, and what bias, activation and norm keep of each value.
std::int64_t ConvNet::graph_numbers() const {
  constexpr std::int64_t copies = 3, kept_each = 10;
  std::int64_t numbers = 0;
  for (const ConvStage& stage : stages_) {
    const ConvLayer& layer = stage.layer;
    const ImageSize& patched = layer.kind == ConvKind::transposed ? stage.in : stage.out;
    const std::int64_t depth = layer.kind == ConvKind::transposed ? stage.out.channels : stage.in.channels;
    if (layer.kind != ConvKind::pool)
      numbers += copies * layer.kernel * layer.kernel * depth * patched.height * patched.width;
    numbers += kept_each * stage.out.values();
  }
  return numbers;
}

void ConvNet::set_gains(at::Tensor& theta) const {
  for (const ConvStage& stage : stages_)
    if (stage.layer.norm) theta.narrow(0, stage.gain, stage.out.channels).fill_(1);
}

}  // namespace whence
