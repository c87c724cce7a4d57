#include "kinks_in_reach.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/net/activation.h"

#include "layer_record.h"

namespace whence {
namespace {

using torch::autograd::grad;

at::Tensor norm_of(const at::Tensor& h, bool biased) {
  return (h.square().sum(1) + (biased ? 1.0 : 0.0)).sqrt();
}

// For each layer an upper bound [m, out] of how far a removal can move its pre-activations: what its own
// weights' move does, by unit, and what comes from the layer before, by norms.
std::vector<at::Tensor> bounds(const KinkPass& pass, const LayerRecord& record, const Reach& reach) {
  std::vector<at::Tensor> all;
  at::Tensor before, open;  // [m]: how far the input can move; [m, in]: the slopes behind it, if known
  for (std::size_t l = 0; l < record.layers().size(); ++l) {
    const SeenLayer& layer = record.layers()[l];
    const at::Tensor w = pass.tensors[layer.stage->first].detach()[0];
    const at::Tensor input = norm_of(layer.h.detach()[0], layer.stage->layer.bias);
    at::Tensor bound = input.unsqueeze(1) * reach.of_unit[l];
    at::Tensor norm = input * reach.of_layer[l];
    if (before.defined()) {
      if (layer.stretch.defined()) {
        before = before * layer.stretch[0];
        open.reset();
      }
      const at::Tensor squares = w.square();
      const at::Tensor gain =
          open.defined() ? at::mm(open.square(), squares.t()).sqrt() : squares.sum(1).sqrt().unsqueeze(0);
      bound = bound + gain * before.unsqueeze(1);
      norm = norm + gain.norm(2, 1) * before;
    }
    all.push_back(bound);
    open = layer.slope.defined() ? layer.slope.detach()[0] : at::Tensor();
    const at::Tensor passed = open.defined() ? bound * open.abs() : bound;
    const double steepest =
        layer.slope.defined() ? std::max(1.0, kink_slopes(layer.stage->layer.activation)->above) : 1.0;
    before = at::minimum(passed.norm(2, 1), norm * steepest);
  }
  return all;
}

// kappa [Q, m, out] of every layer that has kinks, else undefined, by two derivatives: of <q, g> by the
// slopes.
std::vector<at::Tensor> kappas(const Game& game, KinkPass& pass, const at::Tensor& q) {
  const ParameterLayout& layout = game.layout();
  const auto directions = layout.views(q.to(at::kDouble));
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
  std::vector<at::Tensor> slopes, result;
  for (const LayerRecord* record : {&pass.instances, &pass.latents})
    for (const SeenLayer& layer : record->layers())
      if (layer.slope.defined()) slopes.push_back(layer.slope);
  const auto derivatives = grad({along}, slopes, {}, false, false, /*allow_unused=*/true);
  std::size_t next = 0;
  for (const LayerRecord* record : {&pass.instances, &pass.latents})
    for (const SeenLayer& layer : record->layers()) {
      result.emplace_back();
      if (!layer.slope.defined()) continue;
      const at::Tensor& own = derivatives[next++];
      result.back() = own.defined() ? own : at::zeros_like(layer.slope);
    }
  return result;
}

// Units in reach of one layer on one kind of samples.
struct Found {
  std::size_t layer;
  bool latents;
  at::Tensor rows, units, kappa;
};

std::vector<Found> found_in(const KinkPass& pass, const std::vector<at::Tensor>& kappa, const Reach& reach) {
  const at::NoGradGuard no_graph;
  std::vector<Found> all;
  std::size_t place = 0;
  for (const LayerRecord* record : {&pass.instances, &pass.latents}) {
    const auto bound = bounds(pass, *record, reach);
    for (std::size_t l = 0; l < record->layers().size(); ++l, ++place) {
      if (!kappa[place].defined()) continue;
      const at::Tensor near = at::nonzero(record->layers()[l].a.detach()[0].abs() <= bound[l]);
      if (near.size(0) == 0) continue;
      const at::Tensor rows = near.select(1, 0).contiguous(), units = near.select(1, 1).contiguous();
      const at::Tensor flat = rows * bound[l].size(1) + units;
      all.push_back({l, record == &pass.latents, rows, units, kappa[place].flatten(1).index_select(1, flat)});
    }
  }
  return all;
}

// The same with the derivatives of each unit's pre-activation: of a pass in which it has a row to itself.
KinksInReach looked_into(const KinkPass& pass, const Found& found, std::int64_t first_row, std::int64_t t) {
  const LayerRecord& record = found.latents ? pass.latents : pass.instances;
  const std::int64_t count = found.rows.size(0);
  const auto own = [&](const at::Tensor& tensor) { return tensor.detach()[0].narrow(0, first_row, count); };
  const SeenLayer& layer = record.layers()[found.layer];
  const at::Tensor a = layer.a[0].narrow(0, first_row, count).gather(1, found.units.unsqueeze(1));
  const auto slopes = kink_slopes(layer.stage->layer.activation);
  KinksInReach kinks{found.layer,
                     slopes->above - slopes->below,
                     a.detach().squeeze(1),
                     found.kappa,
                     found.units,
                     {},
                     {},
                     {},
                     std::vector<std::int64_t>(count, t)};
  if (found.layer > 0)
    for (const at::Tensor& by_a : grad({a.sum()}, record.pre_activations(found.layer), {}, true))
      kinks.by_a.push_back(own(by_a));
  for (std::size_t l = 0; l <= found.layer; ++l) {
    kinks.h.push_back(own(record.layers()[l].h));
    kinks.biased.push_back(record.layers()[l].stage->layer.bias);
  }
  return kinks;
}

}  // namespace

std::int64_t KinksInReach::numbers() const {
  std::int64_t all = a.numel() + kappa.numel() + unit.numel();
  for (const at::Tensor& some : by_a) all += some.numel();
  for (const at::Tensor& some : h) all += some.numel();
  return all;
}

// By each unit's own derivatives.
KinksInReach still_in_reach(const KinksInReach& kinks, const Reach& reach) {
  const at::NoGradGuard no_graph;
  const std::size_t last = kinks.layer;
  at::Tensor bound =
      reach.of_unit[last].index_select(0, kinks.unit) * norm_of(kinks.h[last], kinks.biased[last]);
  for (std::size_t l = 0; l < last; ++l)
    bound = bound + kinks.by_a[l].norm(2, 1) * norm_of(kinks.h[l], kinks.biased[l]) * reach.of_layer[l];
  return chosen(kinks, at::nonzero(kinks.a.abs() <= bound).squeeze(1));
}

KinksInReach chosen(const KinksInReach& kinks, const at::Tensor& places) {
  const auto kept = [&](const std::vector<at::Tensor>& all) {
    std::vector<at::Tensor> some;
    for (const at::Tensor& one : all) some.push_back(one.index_select(0, places));
    return some;
  };
  std::vector<std::int64_t> step;
  for (std::int64_t i = 0; i < places.size(0); ++i)
    step.push_back(kinks.step[places.data_ptr<std::int64_t>()[i]]);
  return {kinks.layer,
          kinks.jump,
          kinks.a.index_select(0, places),
          kinks.kappa.index_select(1, places),
          kinks.unit.index_select(0, places),
          kept(kinks.by_a),
          kept(kinks.h),
          kinks.biased,
          std::move(step)};
}

KinksInReach joined(const std::vector<KinksInReach>& parts) {
  const auto together = [&](const auto& of, std::int64_t dim) {
    std::vector<at::Tensor> all;
    for (const KinksInReach& part : parts) all.push_back(of(part));
    return at::cat(all, dim);
  };
  KinksInReach all = parts.front();
  all.a = together([](const KinksInReach& part) { return part.a; }, 0);
  all.kappa = together([](const KinksInReach& part) { return part.kappa; }, 1);
  all.unit = together([](const KinksInReach& part) { return part.unit; }, 0);
  for (std::size_t l = 0; l < all.by_a.size(); ++l)
    all.by_a[l] = together([l](const KinksInReach& part) { return part.by_a[l]; }, 0);
  for (std::size_t l = 0; l < all.h.size(); ++l)
    all.h[l] = together([l](const KinksInReach& part) { return part.h[l]; }, 0);
  all.step.clear();
  for (const KinksInReach& part : parts) all.step.insert(all.step.end(), part.step.begin(), part.step.end());
  return all;
}

std::vector<KinksInReach> kinks_in_reach(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                                         const at::Tensor& q, const Reach& reach) {
  const Batch batch = wide_batch(run, t);
  KinkPass pass(run.game, theta, q.size(0), batch);
  const std::vector<Found> found = found_in(pass, kappas(run.game, pass, q), reach);
  if (found.empty()) return {};

  const at::Tensor none = at::zeros({0}, at::kLong);
  std::vector<at::Tensor> of_instances{none}, of_latents{none};
  for (const Found& some : found) (some.latents ? of_latents : of_instances).push_back(some.rows);
  const at::Tensor instances = at::cat(of_instances);
  const KinkPass alone(
      run.game, theta, 1,
      rows_of(batch, instances,
              run.game.perceptrons()->latents_of_instances() ? instances : at::cat(of_latents)));
  std::vector<KinksInReach> all;
  std::int64_t next[2] = {0, 0};
  for (const Found& some : found) {
    std::int64_t& row = next[some.latents ? 1 : 0];
    KinksInReach kinks = still_in_reach(looked_into(alone, some, row, t), reach);
    if (kinks.size() > 0) all.push_back(std::move(kinks));
    row += some.rows.size(0);
  }
  return all;
}

}  // namespace whence
