#include "found_units.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/net/activation.h"

namespace whence {

using torch::autograd::grad;

at::Tensor norm_of_input(const at::Tensor& h, bool biased) {
  return (h.square().sum(-1) + (biased ? 1.0 : 0.0)).sqrt();
}

at::Tensor by_step(const at::Tensor& replicas, std::int64_t queries) {
  return replicas.detach().unflatten(0, {-1, queries}).select(1, 0);
}

// What a layer's own weights' move does, by unit, and what comes from the layer before, by norms.
std::vector<at::Tensor> reach_of_units(const KinkPass& pass, const LayerRecord& record, const Reach& reach,
                                       std::int64_t queries) {
  std::vector<at::Tensor> all;
  at::Tensor before, open;  // [steps, m]: how far the input can move; [steps, m, in]: the slopes behind it
  std::vector<at::Tensor> alone;  // [steps, m] how far a layer's own weights can move its output
  for (std::size_t l = 0; l < record.layers().size(); ++l) {
    const SeenLayer& layer = record.layers()[l];
    const at::Tensor w = by_step(pass.tensors[layer.stage->first], queries);
    const at::Tensor input = norm_of_input(by_step(layer.h, queries), layer.stage->layer.bias);
    at::Tensor bound = input.unsqueeze(2) * reach.of_unit[l];
    at::Tensor norm = input * reach.of_layer[l];
    const double steepest =
        layer.slope.defined()
            ? std::max(1.0,
                       std::abs(kink_slopes(layer.stage->layer.activation, layer.stage->layer.leak)->below))
            : 1.0;
    alone.push_back(norm * steepest);
    if (!layer.reliance.empty()) {
      open.reset();
      before = at::zeros_like(norm);
      for (std::size_t p = 0; p < l; ++p) before = before + by_step(layer.reliance[p], queries) * alone[p];
    }
    if (before.defined()) {
      if (layer.stretch.defined()) {
        before = before * by_step(layer.stretch, queries);
        open.reset();
      }
      const at::Tensor squares = w.square();
      const at::Tensor gain = open.defined() ? at::matmul(open.square(), squares.transpose(1, 2)).sqrt()
                                             : squares.sum(2).sqrt().unsqueeze(1);
      bound = bound + gain * before.unsqueeze(2);
      norm = norm + gain.norm(2, 2) * before;
    }
    all.push_back(bound);
    open = layer.slope.defined() ? by_step(layer.slope, queries) : at::Tensor();
    const at::Tensor passed = open.defined() ? bound * open.abs() : bound;
    before = at::minimum(passed.norm(2, 2), norm * steepest);
  }
  return all;
}

std::vector<at::Tensor> kappas(const Game& game, KinkPass& pass, const std::vector<KinkedLayer>& layers,
                               const at::Tensor& q) {
  const ParameterLayout& layout = game.layout();
  const auto directions = layout.views(q);
  at::Tensor along;
  for (std::int64_t player = 0; player < layout.player_count(); ++player) {
    std::vector<at::Tensor> own, own_directions;
    for (std::size_t i = 0; i < pass.tensors.size(); ++i)
      if (layout.specs()[i].player == player) {
        own.push_back(pass.tensors[i]);
        own_directions.push_back(directions[i]);
      }
    const auto g = grad({pass.losses[player].sum()}, own, {}, true, true, /*allow_unused=*/true);
    for (std::size_t i = 0; i < g.size(); ++i)
      if (g[i].defined()) {
        const at::Tensor term = (g[i] * own_directions[i]).sum();
        along = along.defined() ? along + term : term;
      }
  }
  std::vector<at::Tensor> slopes;
  for (const KinkedLayer& layer : layers) slopes.push_back(layer.seen->slope);
  auto result = grad({along}, slopes, {}, false, false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < result.size(); ++i)
    if (!result[i].defined()) result[i] = at::zeros_like(slopes[i]);
  return result;
}

FoundUnits found_where(const at::Tensor& near, const KinkedLayer& layer) {
  const at::Tensor places = at::nonzero(near);
  FoundUnits found{layer.layer, layer.of_latents, {}, {}, {}, {}};
  if (places.size(0) == 0) return found;
  found.steps = places.select(1, 0).contiguous();
  found.rows = places.select(1, 1).contiguous();
  found.units = places.select(1, 2).contiguous();
  return found;
}

at::Tensor of_found(const FoundUnits& found, const at::Tensor& all) {
  const std::int64_t samples = all.size(-2), units = all.size(-1);
  return all.flatten(-3).index_select(-1, (found.steps * samples + found.rows) * units + found.units);
}

RowsOfFound::RowsOfFound(const Game& game, const std::vector<FoundUnits>& found, std::size_t steps)
    : game_(game), instances_(steps), latents_(steps) {
  for (const FoundUnits& some : found) {
    places_.push_back(at::empty_like(some.rows));
    for (std::int64_t i = 0; i < some.rows.size(0); ++i)
      places_.back().data_ptr<std::int64_t>()[i] =
          (some.of_latents ? latents_ : instances_)
              .add(some.steps.data_ptr<std::int64_t>()[i], some.rows.data_ptr<std::int64_t>()[i]);
  }
  most_instances_ = instances_.most();
  most_latents_ = latents_.most();
  if (game.perceptrons()->as_many_latents())
    most_instances_ = most_latents_ = std::max({most_instances_, most_latents_, std::int64_t{1}});
  for (std::size_t i = 0; i < found.size(); ++i)
    places_[i].add_(found[i].steps * (found[i].of_latents ? most_latents_ : most_instances_));
}

KinkPass RowsOfFound::alone(const at::Tensor& thetas, const Batch& batches) const {
  const at::Tensor of_instances = instances_.index(most_instances_);
  const bool alike = game_.perceptrons()->latents_of_instances();
  return {game_, thetas,
          rows_of(batches, of_instances, alike ? of_instances : latents_.index(most_latents_))};
}

namespace {

// Not every layer has to be behind another.
std::vector<at::Tensor> derivatives_of(const at::Tensor& a, const std::vector<at::Tensor>& earlier) {
  auto all = grad({a.sum()}, earlier, {}, true, false, /*allow_unused=*/true);
  for (std::size_t l = 0; l < all.size(); ++l)
    if (!all[l].defined()) all[l] = at::zeros_like(earlier[l]);
  return all;
}

}  // namespace

KinksInReach looked_into(const KinkPass& alone, const FoundUnits& found, const at::Tensor& places,
                         const std::vector<std::int64_t>& steps) {
  const LayerRecord& record = found.of_latents ? alone.latents : alone.instances;
  const auto own = [&](const at::Tensor& tensor) { return tensor.flatten(0, 1).index_select(0, places); };
  const SeenLayer& layer = record.layers()[found.layer];
  const at::Tensor a = own(layer.a).gather(1, found.units.unsqueeze(1));
  KinksInReach kinks;
  kinks.layer = found.layer;
  kinks.jump = layer.jump();
  kinks.a = a.detach().squeeze(1);
  kinks.kappa = found.kappa;
  kinks.unit = found.units;
  kinks.along = found.along;
  kinks.id = found.id;
  for (std::int64_t i = 0; i < found.steps.size(0); ++i)
    kinks.step.push_back(steps[found.steps.data_ptr<std::int64_t>()[i]]);
  if (found.layer > 0)
    for (const at::Tensor& by_a : derivatives_of(a, record.pre_activations(found.layer)))
      kinks.by_a.push_back(own(by_a));
  for (std::size_t l = 0; l <= found.layer; ++l) {
    kinks.h.push_back(own(record.layers()[l].h.detach()));
    kinks.biased.push_back(record.layers()[l].stage->layer.bias);
  }
  return kinks;
}

}  // namespace whence
