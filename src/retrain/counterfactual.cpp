#include "whence/retrain/counterfactual.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include "whence/core/error.h"

namespace whence {
namespace {

using Removals = std::vector<std::vector<std::int64_t>>;

// Replica r > 0 of a block removes these instances: position -> replicas that lack it.
std::unordered_map<std::int64_t, std::vector<std::int64_t>> absentees(const CounterfactualBlock& block,
                                                                      const Removals& removals) {
  std::unordered_map<std::int64_t, std::vector<std::int64_t>> replicas;
  for (std::size_t i = 0; i < block.removals.size(); ++i)
    for (const std::int64_t position : removals[block.removals[i]])
      replicas[position].push_back(static_cast<std::int64_t>(i) + 1);
  return replicas;
}

// The sets by their steps; those of one step by their numbers.
std::vector<std::int64_t> earliest_first(const std::vector<std::int64_t>& steps) {
  std::vector<std::int64_t> order(steps.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&steps](std::int64_t a, std::int64_t b) { return steps[a] < steps[b]; });
  return order;
}

}  // namespace

RetrainingStarts starts_of(const RecordedSteps& run, const Removals& removals,
                           const std::vector<std::int64_t>& epochs_back, std::int64_t together) {
  RetrainingStarts starts{run.steps, epochs_back, {}};
  for (const std::int64_t epochs : epochs_back) {
    const auto first_use = first_uses(run, run.steps - epochs * run.steps_per_epoch);
    std::vector<std::int64_t>& start = starts.start.emplace_back(removals.size(), run.steps);
    for (std::size_t i = 0; i < removals.size(); ++i)
      for (const std::int64_t position : removals[i]) start[i] = std::min(start[i], first_use[position]);
    const std::vector<std::int64_t> order = earliest_first(start);
    for (std::size_t i = 0; i < order.size(); ++i)
      start[order[i]] = start[order[i - i % static_cast<std::size_t>(together)]];
  }
  return starts;
}

std::vector<CounterfactualBlock> plan_counterfactuals(const RetrainingStarts& starts, std::int64_t replicas) {
  std::vector<CounterfactualBlock> blocks;
  for (std::size_t k = 0; k < starts.epochs_back.size(); ++k) {
    const std::vector<std::int64_t>& start = starts.start[k];
    const std::size_t before = blocks.size();
    for (const std::int64_t set : earliest_first(start)) {
      if (blocks.size() == before || blocks.back().first_step != start[set] ||
          static_cast<std::int64_t>(blocks.back().removals.size()) == replicas)
        blocks.push_back({starts.epochs_back[k], start[set], {}});
      blocks.back().removals.push_back(set);
    }
  }
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const auto& a, const auto& b) { return a.first_step < b.first_step; });
  return blocks;
}

Retraining::Retraining(const RecordedSteps& run, const CounterfactualBlock& block, const Removals& removals,
                       double weight)
    : run_(run),
      block_(block),
      removals_(removals),
      weight_(weight),
      absent_(absentees(block, removals)),
      step_(block.first_step),
      state_(run.state(block.first_step).repeat({static_cast<std::int64_t>(block.removals.size()) + 1, 1})),
      gradients_(watch_players("the gradient", run.game.layout(),
                               [this](std::int64_t replica) { return name_of(replica); })) {}

std::string Retraining::name_of(std::int64_t replica) const {
  if (replica == 0) return "the replica without removal";
  const auto& set = removals_[block_.removals[replica - 1]];
  if (set.size() == 1)
    return fmt::format("the counterfactual without instance {}", run_.data.ids[set.front()]);
  return fmt::format("the counterfactual without removal set {}", block_.removals[replica - 1]);
}

at::Tensor Retraining::params() const { return run_.optimiser.model(state_); }

void Retraining::restore(std::int64_t t, const at::Tensor& state) {
  step_ = t;
  state_ = state.to(state_.device(), state.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
}

void Retraining::advance() {
  const std::int64_t t = step_;
  const at::Tensor positions = run_.batch(t);
  const std::int64_t count = positions.size(0);
  const at::Tensor present = at::ones({replicas(), count}, at::kDouble);
  const std::int64_t* position = positions.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i)
    if (const auto found = absent_.find(position[i]); found != absent_.end())
      for (const std::int64_t replica : found->second)
        present.data_ptr<double>()[replica * count + i] = weight_;
  gradients_.see(take_again(run_, state_, t, present), t);
  if (++step_ == run_.steps) gradients_.check();
}

at::Tensor Retraining::metric_values(const std::vector<std::shared_ptr<const Metric>>& metrics) const {
  at::Tensor values = at::empty({static_cast<std::int64_t>(metrics.size()), replicas()}, at::kDouble);
  for (std::size_t m = 0; m < metrics.size(); ++m) {
    values[m].copy_(metrics[m]->value(params()));
    for (std::int64_t r = 0; r < replicas(); ++r)
      if (!std::isfinite(values[m][r].item<double>()))
        fail("the metric {} is not a finite number in {}", metrics[m]->name(), name_of(r));
  }
  return values;
}

CounterfactualResult Retraining::result(const std::vector<std::shared_ptr<const Metric>>& metrics) const {
  const at::Tensor values = metric_values(metrics).t();
  const at::Tensor change = values.narrow(0, 1, replicas() - 1) - values[0];
  return {change.contiguous(), values[0].contiguous(),
          (state_[0] - run_.state(run_.steps)).abs().max().item<double>()};
}

CounterfactualResult retrain(const RecordedSteps& run, const CounterfactualBlock& block,
                             const Removals& removals,
                             const std::vector<std::shared_ptr<const Metric>>& metrics,
                             const std::function<void()>& between_steps) {
  Retraining retraining(run, block, removals);
  while (!retraining.done()) {
    retraining.advance();
    between_steps();
  }
  return retraining.result(metrics);
}

}  // namespace whence
