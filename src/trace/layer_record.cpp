#include "layer_record.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/random.h"
#include "whence/net/activation.h"
#include "whence/net/kink.h"

namespace whence {

namespace {

// Of |J^T v| over normal v the mean square is the squared Frobenius norm of J, which the largest stretch
// cannot pass; the margin makes up for there being few v.
std::vector<at::Tensor> reliance_on(const std::vector<SeenLayer>& layers, const at::Tensor& h) {
  constexpr int probes = 8;
  constexpr double margin = 3;
  std::vector<at::Tensor> outputs, squares;
  for (const SeenLayer& layer : layers) {
    outputs.push_back(layer.y);
    squares.push_back(at::zeros({h.size(0), h.size(1)}, h.options()));
  }
  if (!h.requires_grad()) return squares;
  const RandomStream stream(0, Purpose::probes, static_cast<std::uint32_t>(layers.size()));
  for (int p = 0; p < probes; ++p) {
    at::Tensor v = at::empty({h.size(2)}, at::kDouble);
    stream.normal(p * h.size(2), v.data_ptr<double>(), v.size(0));
    const auto pulled = torch::autograd::grad({h.matmul(v).sum()}, outputs, {}, true, false, true);
    for (std::size_t l = 0; l < outputs.size(); ++l)
      if (pulled[l].defined()) squares[l].add_(pulled[l].square().sum(2));
  }
  for (at::Tensor& square : squares) square.mul_(1.0 / probes).sqrt_().mul_(margin);
  return squares;
}

}  // namespace

at::Tensor LayerRecord::activated(const Stage& stage, const at::Tensor& h, const at::Tensor& a) {
  const auto slopes = kink_slopes(stage.layer.activation, stage.layer.leak);
  at::Tensor slope;
  if (slopes)
    slope = (at::gt(a.detach(), 0).to(a.scalar_type()) * (slopes->above - slopes->below) + slopes->below)
                .requires_grad_();
  const at::Tensor y =
      slopes ? with_slope(a, slope) : activate(stage.layer.activation, a, 0, stage.layer.leak);
  const bool own = layout_.specs()[stage.first].player == player_;
  const bool apart =
      reaching_ && own && !layers_.empty() && !stretch_.defined() && !h.is_same(layers_.back().y);
  const auto reliance = apart ? reliance_on(layers_, h) : std::vector<at::Tensor>();
  (own ? layers_ : others_).push_back({&stage, h, a, y, slope, stretch_, reliance});
  stretch_.reset();
  return y;
}

double SeenLayer::jump() const {
  const auto slopes = kink_slopes(stage->layer.activation, stage->layer.leak);
  return slopes->above - slopes->below;
}

std::vector<at::Tensor> LayerRecord::pre_activations(std::size_t count) const {
  std::vector<at::Tensor> all;
  for (std::size_t l = 0; l < count; ++l) all.push_back(layers_[l].a);
  return all;
}

KinkPass::KinkPass(const Game& game, const at::Tensor& thetas, const Batch& batches, bool reaching)
    : instances(game.layout(), game.perceptrons()->instance_player(), reaching),
      latents(game.layout(), game.perceptrons()->instance_player(), reaching) {
  for (const at::Tensor& view : game.layout().views(thetas.to(at::kDouble)))
    tensors.push_back(view.detach().requires_grad_());
  const at::Tensor present = at::ones({thetas.size(0), batches.instances.size(1)}, at::kDouble);
  losses = game.perceptrons()->losses_seen(tensors, batches, present, instances, latents);
}

std::vector<KinkedLayer> KinkPass::kinked_layers() const {
  std::vector<KinkedLayer> all;
  const auto add = [&all](const std::vector<SeenLayer>& layers, bool of_latents, bool own) {
    for (std::size_t l = 0; l < layers.size(); ++l)
      if (layers[l].slope.defined()) all.push_back({&layers[l], l, of_latents, own});
  };
  add(instances.layers(), false, true);
  add(latents.layers(), true, true);
  add(latents.others(), true, false);
  return all;
}

Batch wide_batches(const RecordedSteps& run, const std::vector<std::int64_t>& steps) {
  std::vector<at::Tensor> instances, latents, labels;
  Batch all;
  for (const std::int64_t t : steps) {
    all = batch_of_step(run, t);
    instances.push_back(all.instances);
    latents.push_back(all.latents);
    if (all.labels.defined()) labels.push_back(all.labels);
  }
  return {at::stack(instances).to(at::kDouble), at::stack(latents).to(at::kDouble), all.divisor,
          all.carries_penalty, labels.empty() ? at::Tensor() : at::stack(labels)};
}

at::Tensor repeated(const at::Tensor& steps, std::int64_t times) {
  std::vector<std::int64_t> sizes = steps.sizes().vec();
  sizes.insert(sizes.begin() + 1, times);
  return steps.unsqueeze(1).expand(sizes).flatten(0, 1);
}

Batch repeated(const Batch& batches, std::int64_t times) {
  return {repeated(batches.instances, times), repeated(batches.latents, times), batches.divisor,
          batches.carries_penalty, batches.labels.defined() ? repeated(batches.labels, times) : at::Tensor()};
}

std::int64_t RowsOfSteps::add(std::int64_t step, std::int64_t row) {
  rows_[step].push_back(row);
  return static_cast<std::int64_t>(rows_[step].size()) - 1;
}

std::int64_t RowsOfSteps::most() const {
  std::size_t most = 0;
  for (const auto& of_step : rows_) most = std::max(most, of_step.size());
  return static_cast<std::int64_t>(most);
}

at::Tensor RowsOfSteps::index(std::int64_t columns) const {
  at::Tensor all = at::zeros({static_cast<std::int64_t>(rows_.size()), columns}, at::kLong);
  auto* into = all.data_ptr<std::int64_t>();
  for (std::size_t s = 0; s < rows_.size(); ++s)
    std::copy(rows_[s].begin(), rows_[s].end(), into + static_cast<std::int64_t>(s) * columns);
  return all;
}

Batch rows_of(const Batch& batches, const at::Tensor& instances, const at::Tensor& latents) {
  const auto chosen = [](const at::Tensor& of, const at::Tensor& rows) {
    return of.gather(1, rows.unsqueeze(2).expand({-1, -1, of.size(2)}));
  };
  return {chosen(batches.instances, instances), chosen(batches.latents, latents), batches.divisor, false,
          batches.labels.defined() ? batches.labels.gather(1, instances) : at::Tensor()};
}

std::int64_t numbers_a_sample(const Game& game) {
  std::int64_t numbers = 0;
  for (const ParameterSpec& spec : game.layout().specs())
    if (spec.is_kernel) numbers += spec.fan_in + spec.fan_out;
  return numbers;
}

std::int64_t steps_a_pass(const Game& game, std::int64_t samples, std::int64_t queries) {
  constexpr std::int64_t most = 16;
  const std::int64_t numbers = queries * (game.layout().size() + samples * numbers_a_sample(game));
  return std::clamp(numbers_a_pass / numbers, std::int64_t{1}, most);
}

}  // namespace whence
