#include "one_by_one.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/max.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/net/activation.h"

namespace whence::bench {
namespace {

using torch::autograd::grad;
using Tensors = std::vector<at::Tensor>;

constexpr std::int64_t discriminator = 1;

Tensors leaves_of(const ParameterLayout& layout, const at::Tensor& params) {
  Tensors leaves;
  for (const at::Tensor& view : layout.views(params.unsqueeze(0)))
    leaves.push_back(view.detach().requires_grad_());
  return leaves;
}

Tensors of_player(const ParameterLayout& layout, const Tensors& leaves, std::int64_t player) {
  Tensors own;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (layout.specs()[i].player == player) own.push_back(leaves[i]);
  return own;
}

at::Tensor flat(const Tensors& tensors) {
  Tensors parts;
  for (const at::Tensor& tensor : tensors) parts.push_back(tensor.flatten());
  return at::cat(parts);
}

at::Tensor u_jacobian(const AdversarialGame& game, const Tensors& leaves, const Batch& batch,
                      const at::Tensor& queries, double kink_width) {
  const at::Tensor everyone = at::ones({1, batch.instances.size(0)}, queries.options());
  const auto losses = game.losses(leaves, batch, everyone, kink_width);
  Tensors gradient;
  for (std::int64_t player = 0; player < game.layout().player_count(); ++player)
    for (const at::Tensor& part :
         grad({losses[player].sum()}, of_player(game.layout(), leaves, player), {}, true, true))
      gradient.push_back(part);
  const at::Tensor g = flat(gradient);

  at::Tensor result = at::empty_like(queries);
  for (std::int64_t q = 0; q < queries.size(0); ++q) {
    Tensors row = grad({(g * queries[q]).sum()}, leaves, {}, q + 1 < queries.size(0), false, true);
    for (std::size_t i = 0; i < row.size(); ++i)
      if (!row[i].defined()) row[i] = at::zeros_like(leaves[i]);
    result[q].copy_(flat(row));
  }
  return result;
}

at::Tensor u_instance(const AdversarialGame& game, const Tensors& leaves, const Batch& batch,
                      const at::Tensor& queries) {
  const auto [begin, end] = game.layout().block(discriminator);
  const at::Tensor u = queries.narrow(1, begin, end - begin);
  const Tensors own = of_player(game.layout(), leaves, discriminator);
  at::Tensor result = at::empty({queries.size(0), batch.instances.size(0)}, queries.options());
  for (std::int64_t j = 0; j < batch.instances.size(0); ++j) {
    const at::Tensor logit = game.logits(leaves, batch.instances.narrow(0, j, 1), 0.0);
    const at::Tensor term = precise_softplus(-logit).sum() / static_cast<double>(batch.divisor);
    result.select(1, j).copy_(at::matmul(u, flat(grad({term}, own))));
  }
  return result;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

}  // namespace

TracedStep trace_one_by_one(const AdversarialGame& game, const at::Tensor& params, const Batch& batch,
                            const at::Tensor& queries, double kink_width) {
  const Tensors leaves = leaves_of(game.layout(), params);
  return {u_jacobian(game, leaves, batch, queries, kink_width), u_instance(game, leaves, batch, queries)};
}

double relative_difference(const TracedStep& a, const TracedStep& b) {
  return std::max(relative(a.u_jacobian, b.u_jacobian), relative(a.u_instance, b.u_instance));
}

}  // namespace whence::bench
