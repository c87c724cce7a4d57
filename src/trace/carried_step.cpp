#include "carried_step.h"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/net/activation.h"

#include "found_units.h"
#include "layer_record.h"

namespace whence {
namespace {

using torch::autograd::grad;

// Keeps the pre-activations of layers with kinks, and no more: a pass without derivatives.
class PreActivations : public DenseWatch {
 public:
  explicit PreActivations(const Game& game)
      : layout_(game.layout()), player_(game.perceptrons()->instance_player()) {}
  at::Tensor activated(const Stage& stage, const at::Tensor&, const at::Tensor& a) override {
    if (kink_slopes(stage.layer.activation, stage.layer.leak))
      (layout_.specs()[stage.first].player == player_ ? own : others).push_back(a);
    return activate(stage.layer.activation, a, 0, stage.layer.leak);
  }
  void passed_on(const at::Tensor&) override {}

  std::vector<at::Tensor> own, others;  // [R, m, out]

 private:
  const ParameterLayout& layout_;
  std::int64_t player_;
};

// Those of replicas thetas [R, P], in the order of KinkPass::kinked_layers().
std::vector<at::Tensor> pre_activations(const Game& game, const at::Tensor& thetas, const Batch& batches) {
  PreActivations instances(game), latents(game);
  const at::Tensor present = at::ones({thetas.size(0), batches.instances.size(1)}, at::kDouble);
  game.perceptrons()->losses_seen(game.layout().views(thetas), batches, present, instances, latents);
  std::vector<at::Tensor> all = instances.own;
  all.insert(all.end(), latents.own.begin(), latents.own.end());
  all.insert(all.end(), latents.others.begin(), latents.others.end());
  return all;
}

// The derivatives [r, m, out] of every kinked layer's pre-activations along one player's part of the
// directions. The game is piecewise smooth, so that a difference over a length far below the distance of
// units from their kinks is the derivative but for rounding.
std::vector<at::Tensor> tangents(const RecordedSteps& run, const Batch& batch, const at::Tensor& theta,
                                 const at::Tensor& directions, std::int64_t player,
                                 const std::vector<KinkedLayer>& layers) {
  constexpr double length = 1e-6;
  const at::NoGradGuard no_graph;
  const auto [begin, end] = run.game.layout().block(player);
  at::Tensor moved = theta.repeat({directions.size(0), 1});
  moved.narrow(1, begin, end - begin).add_(directions.narrow(1, begin, end - begin), length);
  std::vector<at::Tensor> all = pre_activations(run.game, moved, repeated(batch, directions.size(0)));
  for (std::size_t i = 0; i < layers.size(); ++i) all[i].sub_(layers[i].seen->a.detach()).mul_(1 / length);
  return all;
}

struct UnitsAlong {
  std::vector<at::Tensor> along, kappa;  // of each kinked layer [r, m, out]
};

// kappa is the tangent of a unit along its player's part of a direction, times dL/dh, times the step's rate.
UnitsAlong units_along(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta, const Batch& batch,
                       const at::Tensor& directions, const KinkPass& pass) {
  const auto layers = pass.kinked_layers();
  const Moves moves = run.moves(t);
  std::vector<at::Tensor> outputs;
  for (const KinkedLayer& layer : layers) outputs.push_back(layer.seen->y);
  UnitsAlong all;
  for (std::int64_t player = 0; player < run.game.layout().player_count(); ++player) {
    const auto by_output = grad({pass.losses[player].sum()}, outputs, {}, true, false, /*allow_unused=*/true);
    const auto own = tangents(run, batch, theta, directions, player, layers);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const at::Tensor jump =
          by_output[i].defined() ? own[i] * (by_output[i] * moves[player].rate) : at::zeros_like(own[i]);
      if (player == 0) {
        all.along.push_back(own[i]);
        all.kappa.push_back(jump);
      } else {
        all.along[i] += own[i];
        all.kappa[i] += jump;
      }
    }
  }
  return all;
}

// Of each kinked layer [1, m, out] whether some instance may carry a unit across its kink.
std::vector<at::Tensor> units_near(const KinkPass& pass, const std::vector<at::Tensor>& along,
                                   const CarriedReach& reach) {
  const at::NoGradGuard no_graph;
  const auto of_instances = reach_of_units(pass, pass.instances, reach.frozen, 1),
             of_latents = reach_of_units(pass, pass.latents, reach.frozen, 1);
  const auto layers = pass.kinked_layers();
  std::vector<at::Tensor> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    at::Tensor bound = reach.distance_along(along[i]).unsqueeze(0);
    if (layers[i].own) bound = bound + (layers[i].of_latents ? of_latents : of_instances)[layers[i].layer];
    all.push_back(layers[i].seen->a.detach().abs() <= bound);
  }
  return all;
}

// Each unit's pre-activation, without derivatives: its player's move is in the directions alone.
KinksInReach seen_only(const FoundUnits& found, const KinkedLayer& layer, std::int64_t t) {
  KinksInReach kinks;
  kinks.layer = found.layer;
  kinks.jump = layer.seen->jump();
  kinks.a = of_found(found, layer.seen->a.detach());
  kinks.kappa = found.kappa;
  kinks.unit = found.units;
  kinks.step.assign(found.units.size(0), t);
  kinks.along = found.along;
  kinks.id = found.id;
  return kinks;
}

}  // namespace

at::Tensor CarriedReach::distance_along(const at::Tensor& along) const {
  std::vector<std::int64_t> shape(along.dim(), 1);
  shape[0] = -1;
  return (along * spread.view(shape)).square().sum(0).sqrt() * norm;
}

at::Tensor pull_of(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                   const at::Tensor& directions) {
  at::Tensor u = directions.to(theta.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
  // Where theta is all of the state, an optimiser looks at no more of the step than its rates.
  const at::Tensor q = run.optimiser.pull_back(u, {theta, theta, {}}, run.moves(t));
  const at::Tensor jacobian = run.engine.trace(theta, batch_of_step(run, t), q, 0).u_jacobian;
  return directions - (u - jacobian).to(at::kDouble);
}

CarriedStep carried_step(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                         const at::Tensor& directions, const CarriedReach& reach) {
  const at::Tensor wide = theta.to(at::kDouble).unsqueeze(0);
  const Batch batch = wide_batches(run, {t});
  KinkPass pass(run.game, wide, batch, /*reaching=*/true);
  const auto layers = pass.kinked_layers();
  const UnitsAlong units = units_along(run, t, wide, batch, directions, pass);
  CarriedStep step;
  std::vector<FoundUnits> own;
  const auto near = units_near(pass, units.along, reach);
  std::int64_t first_id = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    FoundUnits found = found_where(near[i], layers[i]);
    const at::Tensor ids = at::arange(first_id, first_id + near[i].numel(), at::kLong).view_as(near[i]);
    first_id += near[i].numel();
    if (!found.steps.defined()) continue;
    found.kappa = of_found(found, units.kappa[i].unsqueeze(1));
    found.along = of_found(found, units.along[i].unsqueeze(1));
    found.id = of_found(found, ids);
    if (layers[i].own)
      own.push_back(std::move(found));
    else
      step.others.push_back(seen_only(found, layers[i], t));
  }
  if (own.empty()) return step;
  const RowsOfFound rows(run.game, own, 1);
  const KinkPass alone = rows.alone(wide, batch);
  for (std::size_t i = 0; i < own.size(); ++i)
    step.own.push_back(looked_into(alone, own[i], rows.places(i), {t}));
  return step;
}

}  // namespace whence
