#include "instance_moves.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "layer_record.h"

namespace whence {

InstanceMoves::InstanceMoves(const RecordedSteps& run, std::int64_t stretches, std::int64_t rank,
                             std::int64_t ranks)
    : run_(run),
      rank_(rank),
      ranks_(ranks),
      instances_((run.data.size() - rank + ranks - 1) / ranks),
      stretches_(stretches) {}

// The derivatives of the player's loss by the pre-activations of each instance's row, times the rate.
InstanceMoves::StepUses InstanceMoves::uses_of(std::int64_t t, std::vector<bool>& biased) const {
  const Perceptrons& game = *run_.game.perceptrons();
  const at::Tensor theta = run_.optimiser.part(run_.state(t), 0), positions = run_.batch(t);
  const at::Tensor rows = at::nonzero(positions.remainder(ranks_) == rank_).squeeze(1);
  const Move move = run_.moves(t)[game.instance_player()];
  const at::Tensor none = rows.narrow(0, 0, 0);
  const Batch all = wide_batch(run_, t);
  const KinkPass pass(run_.game, theta, 1, rows_of(all, rows, game.latents_of_instances() ? rows : none));
  const auto& layers = pass.instances.layers();
  StepUses uses{
      positions.index_select(0, rows).floor_divide(ranks_), static_cast<double>(move.taken), {}, {}};
  const auto derivatives = torch::autograd::grad({pass.losses[game.instance_player()].sum()},
                                                 pass.instances.pre_activations(layers.size()));
  biased.clear();
  for (std::size_t l = 0; l < layers.size(); ++l) {
    uses.d.push_back(derivatives[l][0] * move.rate);
    uses.h.push_back(layers[l].h.detach()[0].contiguous());
    biased.push_back(layers[l].stage->layer.bias);
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
  moves.once = moves.who.numel() == 0 || at::bincount(moves.who).max().item<std::int64_t>() <= 1;
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

void InstanceMoves::take(std::int64_t end) {
  std::vector<bool> biased;
  for (std::size_t e = 0; e < stretches_.size(); ++e) {
    const std::int64_t last = run_.steps - static_cast<std::int64_t>(e) * run_.steps_per_epoch;
    std::vector<StepUses> uses;
    for (std::int64_t t = std::min(last, end) - 1; t >= last - run_.steps_per_epoch; --t)
      uses.push_back(uses_of(t, biased));
    std::reverse(uses.begin(), uses.end());
    if (uses.empty()) continue;  // a trace-back that goes on has left this stretch behind
    layers_ = biased.size();
    stretches_[e] = joined(std::move(uses));
  }
  find_largest(biased);
}

void InstanceMoves::find_largest(const std::vector<bool>& biased) {
  const at::NoGradGuard no_graph;
  // The move goes on for as long as there are steps.
  const double furthest = run_.optimiser.move_of(std::numeric_limits<std::int32_t>::max()).value();
  for (std::size_t l = 0; l < layers_; ++l) {
    at::Tensor of_unit, of_layer = at::zeros({instances_}, at::kDouble);
    for (const MovesOfStretch& moves : stretches_) {
      if (!moves.who.defined()) continue;
      const at::Tensor reach = (moves.h[l].square().sum(1) + (biased[l] ? 1.0 : 0.0)).sqrt();
      if (!of_unit.defined()) of_unit = at::zeros({instances_, moves.d[l].size(1)}, at::kDouble);
      of_unit.index_add_(0, moves.who, moves.d[l].abs() * reach.unsqueeze(1));
      of_layer.index_add_(0, moves.who, moves.d[l].norm(2, 1) * reach);
    }
    const bool any = instances_ > 0;
    largest_of_unit_.push_back((any ? std::get<0>(of_unit.max(0)) : of_unit.sum(0)) * furthest);
    largest_.push_back(any ? of_layer.max().item<double>() * furthest : 0.0);
  }
}

double InstanceMoves::bytes(const Game& game, double uses) {
  double numbers = 0;
  for (const ParameterSpec& spec : game.layout().specs())
    if (spec.player == game.perceptrons()->instance_player() && spec.is_kernel)
      numbers += static_cast<double>(spec.fan_in + spec.fan_out);
  return 8 * uses * numbers;
}

}  // namespace whence
