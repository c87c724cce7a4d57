#include "layer_record.h"

#include <algorithm>

#include <ATen/ops/gt.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "whence/net/activation.h"
#include "whence/net/kink.h"

namespace whence {

at::Tensor LayerRecord::activated(const Stage& stage, const at::Tensor& h, const at::Tensor& a) {
  const auto slopes = kink_slopes(stage.layer.activation);
  at::Tensor slope;
  if (slopes)
    slope = (at::gt(a.detach(), 0).to(a.scalar_type()) * (slopes->above - slopes->below) + slopes->below)
                .requires_grad_();
  const at::Tensor y = slopes ? with_slope(a, slope) : activate(stage.layer.activation, a, 0);
  const bool own = layout_.specs()[stage.first].player == player_;
  (own ? layers_ : others_).push_back({&stage, h, a, y, slope, stretch_});
  stretch_.reset();
  return y;
}

double SeenLayer::jump() const {
  const auto slopes = kink_slopes(stage->layer.activation);
  return slopes->above - slopes->below;
}

std::vector<at::Tensor> LayerRecord::pre_activations(std::size_t count) const {
  std::vector<at::Tensor> all;
  for (std::size_t l = 0; l < count; ++l) all.push_back(layers_[l].a);
  return all;
}

KinkPass::KinkPass(const Game& game, const at::Tensor& thetas, const Batch& batches)
    : instances(game.layout(), game.perceptrons()->instance_player()),
      latents(game.layout(), game.perceptrons()->instance_player()) {
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

at::Tensor RowsOfSteps::index() const {
  at::Tensor all = at::zeros({static_cast<std::int64_t>(rows_.size()), most()}, at::kLong);
  auto* into = all.data_ptr<std::int64_t>();
  for (std::size_t s = 0; s < rows_.size(); ++s)
    std::copy(rows_[s].begin(), rows_[s].end(), into + static_cast<std::int64_t>(s) * most());
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
