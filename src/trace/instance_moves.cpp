#include "instance_moves.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "layer_record.h"

namespace whence {

InstanceMoves::InstanceMoves(const RecordedSteps& run, std::int64_t stretches, double factor,
                             std::int64_t rank, std::int64_t ranks)
    : run_(run),
      factor_(factor),
      rank_(rank),
      ranks_(ranks),
      instances_((run.data.size() - rank + ranks - 1) / ranks),
      stretches_(stretches) {}

// The derivatives of the player's loss by the pre-activations of each instance's row, times the rate.
std::vector<InstanceMoves::StepUses> InstanceMoves::uses_of(const std::vector<std::int64_t>& steps,
                                                            std::vector<bool>& biased) const {
  const Perceptrons& game = *run_.game.perceptrons();
  std::vector<StepUses> uses;
  std::vector<at::Tensor> thetas;
  RowsOfSteps own(steps.size());
  for (const std::int64_t t : steps) {
    thetas.push_back(run_.optimiser.part(run_.state(t), 0));
    const at::Tensor positions = run_.batch(t),
                     rows = at::nonzero(positions.remainder(ranks_) == rank_).squeeze(1);
    for (std::int64_t i = 0; i < rows.size(0); ++i)
      own.add(static_cast<std::int64_t>(uses.size()), rows.data_ptr<std::int64_t>()[i]);
    const Move move = run_.moves(t)[game.instance_player()];
    uses.push_back(
        {positions.index_select(0, rows).floor_divide(ranks_), static_cast<double>(move.taken), {}, {}});
  }
  const at::Tensor rows =
                       own.index(game.as_many_latents() ? std::max(own.most(), std::int64_t{1}) : own.most()),
                   none = rows.narrow(1, 0, 0);
  const KinkPass pass(run_.game, at::stack(thetas),
                      rows_of(wide_batches(run_, steps), rows, game.as_many_latents() ? rows : none));
  const auto& layers = pass.instances.layers();
  const auto derivatives = torch::autograd::grad({pass.losses[game.instance_player()].sum()},
                                                 pass.instances.pre_activations(layers.size()));
  biased.clear();
  for (const SeenLayer& layer : layers) biased.push_back(layer.stage->layer.bias);
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const auto of_step = [&](const at::Tensor& all) {
      return all.select(0, static_cast<std::int64_t>(s)).narrow(0, 0, uses[s].who.size(0));
    };
    const double rate = run_.moves(steps[s])[game.instance_player()].rate;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      uses[s].d.push_back(of_step(derivatives[l]) * rate);
      uses[s].h.push_back(of_step(layers[l].h.detach()));
    }
  }
  return uses;
}

MovesOfStretch InstanceMoves::joined(std::vector<StepUses> uses) const {
  MovesOfStretch moves{{0}, {}, {}, {}, {}, true};
  std::vector<at::Tensor> who, taken;
  for (const StepUses& step : uses) {
    moves.first_row.push_back(moves.first_row.back() + step.who.size(0));
    who.push_back(step.who);
    taken.push_back(at::full({step.who.size(0)}, step.taken, at::kDouble));
  }
  moves.who = at::cat(who);
  moves.taken = at::cat(taken);
  for (std::size_t l = 0; l < layers_; ++l) {
    std::vector<at::Tensor> d, h;
    for (StepUses& step : uses) {
      d.push_back(std::exchange(step.d[l], at::Tensor()));
      h.push_back(std::exchange(step.h[l], at::Tensor()));
    }
    moves.d.push_back(at::cat(d));
    moves.h.push_back(at::cat(h));
  }
  return moves;
}

void InstanceMoves::take() {
  const std::int64_t at_once = steps_a_pass(run_.game, run_.batch(run_.steps - 1).size(0), 1);
  std::vector<bool> biased;
  std::vector<MovesOfStretch> stretches(stretches_);
  for (std::size_t e = 0; e < stretches.size(); ++e) {
    const std::int64_t last = run_.steps - static_cast<std::int64_t>(e) * run_.steps_per_epoch;
    std::vector<StepUses> uses;
    for (std::int64_t end = last; end > last - run_.steps_per_epoch;) {
      std::vector<std::int64_t> steps;
      while (static_cast<std::int64_t>(steps.size()) < at_once && end > last - run_.steps_per_epoch)
        steps.push_back(--end);
      for (StepUses& of_step : uses_of(steps, biased)) uses.push_back(std::move(of_step));
    }
    std::reverse(uses.begin(), uses.end());
    layers_ = biased.size();
    stretches[e] = joined(std::move(uses));
  }
  const at::NoGradGuard no_graph;
  const Reaches reaches = reaches_of(stretches, biased);
  divide(std::move(stretches), reaches);
}

InstanceMoves::Reaches InstanceMoves::reaches_of(const std::vector<MovesOfStretch>& stretches,
                                                 const std::vector<bool>& biased) const {
  // The move goes on for as long as there are steps.
  const double furthest = factor_ * run_.optimiser.move_of(std::numeric_limits<std::int32_t>::max()).value();
  Reaches all;
  for (std::size_t l = 0; l < layers_; ++l) {
    at::Tensor of_unit, of_layer = at::zeros({instances_}, at::kDouble);
    for (const MovesOfStretch& moves : stretches) {
      const at::Tensor reach = (moves.h[l].square().sum(1) + (biased[l] ? 1.0 : 0.0)).sqrt() * furthest;
      if (!of_unit.defined()) of_unit = at::zeros({instances_, moves.d[l].size(1)}, at::kDouble);
      of_unit.index_add_(0, moves.who, moves.d[l].abs() * reach.unsqueeze(1));
      of_layer.index_add_(0, moves.who, moves.d[l].norm(2, 1) * reach);
    }
    all.of_unit.push_back(of_unit);
    all.of_layer.push_back(of_layer);
  }
  return all;
}

namespace {

// Where groups begin, and their end, in the descending sizes [n]: each goes down to half of its largest, but
// has so many members at least.
std::vector<std::int64_t> group_bounds(const at::Tensor& sizes) {
  constexpr std::int64_t least = 128;
  std::vector<std::int64_t> bounds{0};
  const double* size = sizes.data_ptr<double>();
  for (std::int64_t i = 0; i < sizes.size(0); ++i)
    if (i - bounds.back() >= least && size[i] < size[bounds.back()] / 2) bounds.push_back(i);
  bounds.push_back(sizes.size(0));
  return bounds;
}

MovesOfStretch of_members(const MovesOfStretch& all, const at::Tensor& place) {
  const at::Tensor where = place.index_select(0, all.who), rows = at::nonzero(where >= 0).squeeze(1);
  const auto own = [&](const std::vector<at::Tensor>& factors) {
    std::vector<at::Tensor> some;
    for (const at::Tensor& one : factors) some.push_back(one.index_select(0, rows));
    return some;
  };
  MovesOfStretch moves{
      {}, where.index_select(0, rows), all.taken.index_select(0, rows), own(all.d), own(all.h), true};
  const std::int64_t* row = rows.data_ptr<std::int64_t>();
  for (const std::int64_t first : all.first_row)
    moves.first_row.push_back(std::lower_bound(row, row + rows.size(0), first) - row);
  moves.once = rows.size(0) == 0 || at::bincount(moves.who).max().item<std::int64_t>() <= 1;
  return moves;
}

}  // namespace

void InstanceMoves::divide(std::vector<MovesOfStretch> stretches, const Reaches& reaches) {
  groups_.clear();
  reach_ = {};
  at::Tensor size = at::zeros({instances_}, at::kDouble);
  const bool any = instances_ > 0;
  for (std::size_t l = 0; l < layers_; ++l) {
    reach_.of_unit.push_back(any ? std::get<0>(reaches.of_unit[l].max(0)) : reaches.of_unit[l].sum(0));
    reach_.of_layer.push_back(any ? reaches.of_layer[l].max().item<double>() : 0.0);
    if (reach_.of_layer.back() > 0) size = at::maximum(size, reaches.of_layer[l] / reach_.of_layer.back());
  }
  const auto [sizes, order] = size.sort(0, /*descending=*/true);
  const std::vector<std::int64_t> bounds = group_bounds(sizes);
  std::vector<at::Tensor> places;  // [instances] of each group: an instance's, or -1
  for (std::size_t g = 0; g + 1 < bounds.size() && any; ++g) {
    const at::Tensor members = std::get<0>(order.narrow(0, bounds[g], bounds[g + 1] - bounds[g]).sort());
    places.push_back(at::full({instances_}, -1, at::kLong));
    places.back().index_copy_(0, members, at::arange(members.size(0), at::kLong));
    Group group{members * ranks_ + rank_, {}, {}};
    for (std::size_t l = 0; l < layers_; ++l) {
      group.reach.of_unit.push_back(std::get<0>(reaches.of_unit[l].index_select(0, members).max(0)));
      group.reach.of_layer.push_back(reaches.of_layer[l].index_select(0, members).max().item<double>());
    }
    groups_.push_back(std::move(group));
  }
  for (MovesOfStretch& whole : stretches) {
    const MovesOfStretch all = std::exchange(whole, {});
    for (std::size_t g = 0; g < groups_.size(); ++g)
      groups_[g].stretches.push_back(of_members(all, places[g]));
  }
}

double InstanceMoves::bytes(const Game& game, double uses, double instances) {
  double numbers = 0;
  for (const ParameterSpec& spec : game.layout().specs())
    if (spec.player == game.perceptrons()->instance_player() && spec.is_kernel)
      numbers += uses * static_cast<double>(spec.fan_in + spec.fan_out) +
                 instances * static_cast<double>(spec.fan_out + 1);
  return 8 * numbers;
}

}  // namespace whence
