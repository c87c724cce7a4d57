#include "whence/game/autograd_engine.h"

#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

namespace whence {
namespace {

using torch::autograd::grad;

// The game's tensors as leaves of an autograd graph, and the positions of each player's.
struct Leaves {
  std::vector<at::Tensor> tensors;
  std::vector<std::vector<at::Tensor>> by_player;

  Leaves(const ParameterLayout& layout, const at::Tensor& params) : by_player(layout.player_count()) {
    for (at::Tensor& view : layout.views(params)) tensors.push_back(view.detach().requires_grad_());
    for (std::size_t i = 0; i < tensors.size(); ++i)
      by_player[layout.specs()[i].player].push_back(tensors[i]);
  }
};

// g as one tensor per layout entry, in layout order (players' blocks follow each other).
std::vector<at::Tensor> joint_gradient(const std::vector<at::Tensor>& losses, const Leaves& leaves,
                                       bool differentiable) {
  std::vector<at::Tensor> joint;
  for (std::size_t player = 0; player < losses.size(); ++player) {
    if (leaves.by_player[player].empty()) continue;
    const bool keep = differentiable || player + 1 < losses.size();
    for (at::Tensor& part : grad({losses[player].sum()}, leaves.by_player[player], {}, keep, differentiable,
                                 /*allow_unused=*/true))
      joint.push_back(std::move(part));
  }
  for (std::size_t i = 0; i < joint.size(); ++i)
    if (!joint[i].defined()) joint[i] = at::zeros_like(leaves.tensors[i]);
  return joint;
}

at::Tensor flattened(const std::vector<at::Tensor>& tensors, std::int64_t replicas) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& tensor : tensors) rows.push_back(tensor.reshape({replicas, -1}));
  return at::cat(rows, 1);
}

// What TracedStep holds, of the graph that `gradient` [as leaves] hangs on; `again`: it will be used again.
TracedStep derivatives_along(const at::Tensor& queries, const std::vector<at::Tensor>& gradient,
                             const Leaves& leaves, const at::Tensor& weights, const ParameterLayout& layout,
                             bool again) {
  const auto directions = layout.views(queries);
  at::Tensor along_u;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const at::Tensor term = (directions[i] * gradient[i]).sum();
    along_u = along_u.defined() ? along_u + term : term;
  }
  // A rank without instances may have losses that nothing moves.
  if (!along_u.requires_grad()) return {at::zeros_like(queries), at::zeros_like(weights)};
  std::vector<at::Tensor> inputs = leaves.tensors;
  inputs.push_back(weights);
  auto derivatives = grad({along_u}, inputs, {}, again, false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (!derivatives[i].defined()) derivatives[i] = at::zeros_like(inputs[i]);
  TracedStep traced;
  traced.u_instance = derivatives.back();
  derivatives.pop_back();
  traced.u_jacobian = flattened(derivatives, queries.size(0));
  return traced;
}

}  // namespace

at::Tensor AutogradEngine::gradient(const at::Tensor& params, const Batch& batch,
                                    const at::Tensor& weights) const {
  // Devices take all replicas at once: what their libraries do with one depends on the others anyway.
  const bool on_cpu = params.device().is_cpu(), alone = on_cpu && game_->one_replica_at_a_time();
  if (params.size(0) > 1 && alone) {
    std::vector<at::Tensor> rows;
    for (std::int64_t r = 0; r < params.size(0); ++r)
      rows.push_back(gradient(params.narrow(0, r, 1), batch, weights.narrow(0, r, 1)));
    return at::cat(rows);
  }
  // MKL multiplies one matrix by other code than several, which rounds differently: a lone replica gets a
  // twin.
  if (params.size(0) == 1 && on_cpu && !alone && at::hasMKL())
    return gradient(params.expand({2, -1}), batch, weights.expand({2, -1})).narrow(0, 0, 1).contiguous();
  const Leaves leaves(game_->layout(), params);
  const auto losses = game_->losses(leaves.tensors, batch, weights, 0.0);
  return flattened(joint_gradient(losses, leaves, false), params.size(0));
}

// The derivatives of <u, g> for one query after another, on one first-order graph.
TracedStep AutogradEngine::trace_one_by_one(const at::Tensor& params, const Batch& batch,
                                            const at::Tensor& queries, double kink_width) const {
  const Leaves leaves(game_->layout(), params.unsqueeze(0));
  const at::Tensor weights = at::ones({1, batch.instances.size(0)}, params.options()).requires_grad_();
  const auto losses = game_->losses(leaves.tensors, batch, weights, kink_width);
  const auto gradient = joint_gradient(losses, leaves, true);
  std::vector<at::Tensor> jacobians, instances;
  for (std::int64_t q = 0; q < queries.size(0); ++q) {
    const TracedStep one = derivatives_along(queries.narrow(0, q, 1), gradient, leaves, weights,
                                             game_->layout(), q + 1 < queries.size(0));
    jacobians.push_back(one.u_jacobian);
    instances.push_back(one.u_instance);
  }
  return {at::cat(jacobians), at::cat(instances)};
}

TracedStep AutogradEngine::trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                                 double kink_width) const {
  const std::int64_t query_count = queries.size(0);
  if (params.device().is_cpu() && game_->one_replica_at_a_time())
    return trace_one_by_one(params, batch, queries, kink_width);
  const Leaves leaves(game_->layout(), params.expand({query_count, -1}));
  const at::Tensor weights =
      at::ones({query_count, batch.instances.size(0)}, params.options()).requires_grad_();

  const auto losses = game_->losses(leaves.tensors, batch, weights, kink_width);
  const auto gradient = joint_gradient(losses, leaves, true);
  return derivatives_along(queries, gradient, leaves, weights, game_->layout(), false);
}

}  // namespace whence
