#include "kinks_in_reach.h"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "found_units.h"
#include "layer_record.h"

namespace whence {
namespace {

// kappa: of each of the layers [steps Q, m, out].
std::vector<FoundUnits> found_in(const KinkPass& pass, const std::vector<KinkedLayer>& layers,
                                 const std::vector<at::Tensor>& kappa, const Reach& reach,
                                 std::int64_t queries) {
  const at::NoGradGuard no_graph;
  const auto of_instances = reach_of_units(pass, pass.instances, reach, queries),
             of_latents = reach_of_units(pass, pass.latents, reach, queries);
  std::vector<FoundUnits> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const KinkedLayer& layer = layers[i];
    const at::Tensor& bound = (layer.of_latents ? of_latents : of_instances)[layer.layer];
    FoundUnits found = found_where(by_step(layer.seen->a, queries).abs() <= bound, layer);
    if (!found.steps.defined()) continue;
    found.kappa = of_found(found, kappa[i].unflatten(0, {-1, queries}).transpose(0, 1));
    all.push_back(std::move(found));
  }
  return all;
}

}  // namespace

std::int64_t KinksInReach::numbers() const {
  std::int64_t all = a.numel() + kappa.numel() + unit.numel();
  for (const at::Tensor& some : by_a) all += some.numel();
  for (const at::Tensor& some : h) all += some.numel();
  return all;
}

// By each unit's own derivatives.
at::Tensor KinksInReach::distance_in(const Reach& reach) const {
  at::Tensor bound = reach.of_unit[layer].index_select(0, unit) * norm_of_input(h[layer], biased[layer]);
  for (std::size_t l = 0; l < layer; ++l)
    bound = bound + by_a[l].norm(2, 1) * norm_of_input(h[l], biased[l]) * reach.of_layer[l];
  return bound;
}

KinksInReach still_in_reach(const KinksInReach& kinks, const Reach& reach) {
  const at::NoGradGuard no_graph;
  return chosen(kinks, at::nonzero(kinks.a.abs() <= kinks.distance_in(reach)).squeeze(1));
}

KinksInReach chosen(const KinksInReach& kinks, const at::Tensor& places) {
  const auto kept = [&](const std::vector<at::Tensor>& all) {
    std::vector<at::Tensor> some;
    for (const at::Tensor& one : all) some.push_back(one.index_select(0, places));
    return some;
  };
  const auto of_place = [&](const at::Tensor& all, std::int64_t dim) {
    return all.defined() ? all.index_select(dim, places) : all;
  };
  std::vector<std::int64_t> step;
  for (std::int64_t i = 0; i < places.size(0); ++i)
    step.push_back(kinks.step[places.data_ptr<std::int64_t>()[i]]);
  return {kinks.layer,
          kinks.jump,
          of_place(kinks.a, 0),
          of_place(kinks.kappa, 1),
          of_place(kinks.unit, 0),
          kept(kinks.by_a),
          kept(kinks.h),
          kinks.biased,
          std::move(step),
          of_place(kinks.along, 1),
          of_place(kinks.id, 0)};
}

KinksInReach joined(const std::vector<KinksInReach>& parts) {
  const auto together = [&](const auto& of, std::int64_t dim) {
    std::vector<at::Tensor> all;
    for (const KinksInReach& part : parts) all.push_back(of(part));
    return all.front().defined() ? at::cat(all, dim) : at::Tensor();
  };
  KinksInReach all = parts.front();
  all.a = together([](const KinksInReach& part) { return part.a; }, 0);
  all.kappa = together([](const KinksInReach& part) { return part.kappa; }, 1);
  all.unit = together([](const KinksInReach& part) { return part.unit; }, 0);
  all.along = together([](const KinksInReach& part) { return part.along; }, 1);
  all.id = together([](const KinksInReach& part) { return part.id; }, 0);
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
  std::vector<FoundUnits> found;
  {
    KinkPass pass(run.game, repeated(theta, each), repeated(batches, each), /*reaching=*/true);
    std::vector<KinkedLayer> own;
    for (const KinkedLayer& layer : pass.kinked_layers())
      if (layer.own) own.push_back(layer);
    found = found_in(pass, own, kappas(run.game, pass, own, query), reach, each);
  }
  if (found.empty()) return {};

  const RowsOfFound rows(run.game, found, steps.size());
  const auto count = static_cast<std::int64_t>(steps.size());
  if (count > 1 && count * rows.most() * numbers_a_sample(run.game) > numbers_a_pass) {
    const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
    auto all = kinks_in_reach(run, {steps.begin(), middle}, reach);
    for (KinksInReach& kinks : kinks_in_reach(run, {middle, steps.end()}, reach))
      all.push_back(std::move(kinks));
    return all;
  }
  const KinkPass alone = rows.alone(theta, batches);
  std::vector<KinksInReach> all;
  for (std::size_t i = 0; i < found.size(); ++i) {
    KinksInReach kinks = still_in_reach(looked_into(alone, found[i], rows.places(i), numbers), reach);
    if (kinks.size() > 0) all.push_back(std::move(kinks));
  }
  return all;
}

}  // namespace whence
