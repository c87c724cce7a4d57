#include "kinks_in_reach.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/net/activation.h"

#include "layer_record.h"

namespace whence {
namespace {

using torch::autograd::grad;

at::Tensor norm_of(const at::Tensor& h, bool biased) {
  return (h.square().sum(-1) + (biased ? 1.0 : 0.0)).sqrt();
}

// Every `queries`-th replica: a step's are alike but for the query.
at::Tensor by_step(const at::Tensor& replicas, std::int64_t queries) {
  return replicas.detach().unflatten(0, {-1, queries}).select(1, 0);
}

// For each layer an upper bound [steps, m, out] of how far a removal can move its pre-activations: what its
// own weights' move does, by unit, and what comes from the layer before, by norms.
std::vector<at::Tensor> bounds(const KinkPass& pass, const LayerRecord& record, const Reach& reach,
                               std::int64_t queries) {
  std::vector<at::Tensor> all;
  at::Tensor before, open;  // [steps, m]: how far the input can move; [steps, m, in]: the slopes behind it
  for (std::size_t l = 0; l < record.layers().size(); ++l) {
    const SeenLayer& layer = record.layers()[l];
    const at::Tensor w = by_step(pass.tensors[layer.stage->first], queries);
    const at::Tensor input = norm_of(by_step(layer.h, queries), layer.stage->layer.bias);
    at::Tensor bound = input.unsqueeze(2) * reach.of_unit[l];
    at::Tensor norm = input * reach.of_layer[l];
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
    const double steepest =
        layer.slope.defined() ? std::max(1.0, kink_slopes(layer.stage->layer.activation)->above) : 1.0;
    before = at::minimum(passed.norm(2, 2), norm * steepest);
  }
  return all;
}

// kappa [steps Q, m, out] of every layer that has kinks, else undefined, by two derivatives: of <q, g> by the
// slopes.
std::vector<at::Tensor> kappas(const Game& game, KinkPass& pass, const at::Tensor& q) {
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

// Units in reach of one layer on one kind of samples: the steps' places, ascending, the samples, the units.
struct Found {
  std::size_t layer;
  bool latents;
  at::Tensor steps, rows, units, kappa;
};

std::vector<Found> found_in(const KinkPass& pass, const std::vector<at::Tensor>& kappa, const Reach& reach,
                            std::int64_t queries) {
  const at::NoGradGuard no_graph;
  std::vector<Found> all;
  std::size_t place = 0;
  for (const LayerRecord* record : {&pass.instances, &pass.latents}) {
    const auto bound = bounds(pass, *record, reach, queries);
    for (std::size_t l = 0; l < record->layers().size(); ++l, ++place) {
      if (!kappa[place].defined()) continue;
      const at::Tensor near = at::nonzero(by_step(record->layers()[l].a, queries).abs() <= bound[l]);
      if (near.size(0) == 0) continue;
      const at::Tensor steps = near.select(1, 0).contiguous(), rows = near.select(1, 1).contiguous(),
                       units = near.select(1, 2).contiguous();
      const at::Tensor flat = (steps * bound[l].size(1) + rows) * bound[l].size(2) + units;
      const at::Tensor by_query = kappa[place].unflatten(0, {-1, queries}).transpose(0, 1).flatten(1);
      all.push_back({l, record == &pass.latents, steps, rows, units, by_query.index_select(1, flat)});
    }
  }
  return all;
}

// A row of its own for each unit that was found.
struct RowsOfFound {
  RowsOfSteps instances, latents;
  std::vector<at::Tensor> places;  // [C] of each that was found, among all steps' rows

  RowsOfFound(const std::vector<Found>& found, std::size_t steps) : instances(steps), latents(steps) {
    for (const Found& some : found) {
      places.push_back(at::empty_like(some.rows));
      for (std::int64_t i = 0; i < some.rows.size(0); ++i)
        places.back().data_ptr<std::int64_t>()[i] =
            (some.latents ? latents : instances)
                .add(some.steps.data_ptr<std::int64_t>()[i], some.rows.data_ptr<std::int64_t>()[i]);
    }
    for (std::size_t i = 0; i < found.size(); ++i)
      places[i].add_(found[i].steps * (found[i].latents ? latents : instances).most());
  }
};

// The same with the derivatives of each unit's pre-activation: of a pass in which it has a row to itself.
KinksInReach looked_into(const KinkPass& pass, const Found& found, const at::Tensor& places,
                         const std::vector<QueriedStep>& steps) {
  const LayerRecord& record = found.latents ? pass.latents : pass.instances;
  const auto own = [&](const at::Tensor& tensor) { return tensor.flatten(0, 1).index_select(0, places); };
  const SeenLayer& layer = record.layers()[found.layer];
  const at::Tensor a = own(layer.a).gather(1, found.units.unsqueeze(1));
  const auto slopes = kink_slopes(layer.stage->layer.activation);
  KinksInReach kinks{
      found.layer, slopes->above - slopes->below, a.detach().squeeze(1), found.kappa, found.units, {}, {}, {},
      {}};
  for (std::int64_t i = 0; i < found.steps.size(0); ++i)
    kinks.step.push_back(steps[found.steps.data_ptr<std::int64_t>()[i]].t);
  if (found.layer > 0)
    for (const at::Tensor& by_a : grad({a.sum()}, record.pre_activations(found.layer), {}, true))
      kinks.by_a.push_back(own(by_a));
  for (std::size_t l = 0; l <= found.layer; ++l) {
    kinks.h.push_back(own(record.layers()[l].h.detach()));
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
  const auto [steps, later_first] =
      at::tensor(all.step, at::kLong).sort(/*stable=*/true, 0, /*descending=*/true);
  return chosen(all, later_first);
}

std::vector<KinksInReach> kinks_in_reach(const RecordedSteps& run, const std::vector<QueriedStep>& steps,
                                         const Reach& reach) {
  std::vector<std::int64_t> numbers;
  std::vector<at::Tensor> thetas, queries;
  for (const QueriedStep& step : steps) {
    numbers.push_back(step.t);
    thetas.push_back(step.theta);
    queries.push_back(step.q);
  }
  const std::int64_t each = queries.front().size(0);
  const at::Tensor theta = steps.size() == 1 ? thetas.front().unsqueeze(0) : at::stack(thetas);
  const at::Tensor query = steps.size() == 1 ? queries.front() : at::cat(queries);
  const Batch batches = wide_batches(run, numbers);
  std::vector<Found> found;
  {
    KinkPass pass(run.game, repeated(theta, each), repeated(batches, each));
    found = found_in(pass, kappas(run.game, pass, query), reach, each);
  }
  if (found.empty()) return {};

  const RowsOfFound rows(found, steps.size());
  const auto count = static_cast<std::int64_t>(steps.size());
  const std::int64_t most = rows.instances.most() + rows.latents.most();
  if (count > 1 && count * most * numbers_a_sample(run.game) > numbers_a_pass) {
    const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
    auto all = kinks_in_reach(run, {steps.begin(), middle}, reach);
    for (KinksInReach& kinks : kinks_in_reach(run, {middle, steps.end()}, reach))
      all.push_back(std::move(kinks));
    return all;
  }
  const at::Tensor instances = rows.instances.index();
  const bool alike = run.game.perceptrons()->latents_of_instances();
  const KinkPass alone(run.game, theta,
                       rows_of(batches, instances, alike ? instances : rows.latents.index()));
  std::vector<KinksInReach> all;
  for (std::size_t i = 0; i < found.size(); ++i) {
    KinksInReach kinks = still_in_reach(looked_into(alone, found[i], rows.places[i], steps), reach);
    if (kinks.size() > 0) all.push_back(std::move(kinks));
  }
  return all;
}

}  // namespace whence
