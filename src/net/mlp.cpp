#include "whence/net/mlp.h"

#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>

namespace whence {

Mlp::Mlp(ParameterLayout& layout, std::int64_t player, const std::string& name, MlpShape shape)
    : shape_(std::move(shape)), first_(layout.specs().size()) {
  for (std::size_t l = 0; l + 1 < shape_.widths.size(); ++l) {
    const std::int64_t in = shape_.widths[l], out = shape_.widths[l + 1];
    const std::string layer = name + "." + std::to_string(l);
    layout.add(player, layer + ".weight", {out, in}, in, out, true);
    if (shape_.biases) layout.add(player, layer + ".bias", {out}, in, out, false);
  }
}

at::Tensor Mlp::forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                        double kink_width) const {
  const std::int64_t replicas = tensors[first_].size(0);
  at::Tensor h = x.dim() == 3 ? x : x.expand({replicas, -1, -1});
  const std::size_t layers = shape_.widths.size() - 1;
  for (std::size_t l = 0, next = first_; l < layers; ++l) {
    const at::Tensor weight = tensors[next++].transpose(1, 2);
    h = shape_.biases ? at::baddbmm(tensors[next++].unsqueeze(1), h, weight) : at::bmm(h, weight);
    h = activate(l + 1 < layers ? shape_.hidden : shape_.output, h, kink_width);
  }
  return h;
}

}  // namespace whence
