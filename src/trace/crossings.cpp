#include "whence/trace/crossings.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "whence/net/activation.h"
#include "whence/train/step.h"

#include "instance_moves.h"
#include "kinks_in_reach.h"
#include "layer_record.h"

namespace whence {
namespace {

// Units that are counted at once: what they are moved by by every instance should stay within a cache.
constexpr std::int64_t units_at_once = 64;

KinksInReach some_of(const KinksInReach& kinks, std::int64_t first, std::int64_t count) {
  const auto part = [&](const std::vector<at::Tensor>& all) {
    std::vector<at::Tensor> some;
    for (const at::Tensor& one : all) some.push_back(one.narrow(0, first, count));
    return some;
  };
  return {kinks.layer,
          kinks.jump,
          kinks.a.narrow(0, first, count),
          kinks.kappa.narrow(1, first, count),
          kinks.unit.narrow(0, first, count),
          part(kinks.by_a),
          part(kinks.h),
          kinks.biased};
}

// <m, grad a_c> [rows, C] of the first `rows` uses of a stretch.
at::Tensor moved_by(const KinksInReach& kinks, const MovesOfStretch& moves, std::int64_t rows) {
  at::Tensor moved;
  for (std::size_t l = 0; l <= kinks.layer; ++l) {
    const at::Tensor d = moves.d[l].narrow(0, 0, rows), h = moves.h[l].narrow(0, 0, rows);
    at::Tensor inputs = at::mm(h, kinks.h[l].t());
    if (kinks.biased[l]) inputs.add_(1);
    inputs.mul_(l == kinks.layer ? d.index_select(1, kinks.unit) : at::mm(d, kinks.by_a[l].t()));
    moved = moved.defined() ? moved.add_(inputs) : inputs;
  }
  return moved;
}

}  // namespace

std::string crossings_left_out(const RecordedSteps& run) {
  if (!run.data.instances.device().is_cpu()) return "they are counted on the CPU alone";
  if (run.game.perceptrons() == nullptr) return "its game is not one of perceptrons alone";
  if (!run.optimiser.move_of(1))
    return fmt::format("the optimiser {} moves parameters by factors of their own", run.optimiser.name());
  const std::int64_t t = run.steps - 1;
  const KinkPass pass(run.game, run.optimiser.part(run.state(run.steps), 0), 1, wide_batch(run, t));
  const auto& layers = pass.instances.layers();
  if (std::none_of(layers.begin(), layers.end(), [](const auto& layer) { return layer.slope.defined(); }))
    return "its units have no kinks";
  return "";
}

bool has_kinks(const RecordedSteps& run) {
  if (!run.game.kinks_left_out().empty()) return true;
  const std::int64_t t = run.steps - 1;
  const at::Tensor positions = run.batch(t), theta = run.optimiser.part(run.state(run.steps), 0);
  const Batch batch = make_batch(run.data, positions, run.seed, t, {0, positions.size(0)}, run.game);
  const at::Tensor query = at::ones({1, theta.size(0)}, theta.options());
  const auto traced = [&](double width) { return run.engine.trace(theta, batch, query, width).u_jacobian; };
  const at::Tensor without = traced(0).to(at::kDouble), difference = traced(1).to(at::kDouble) - without;
  const double rounding = run.game.dtype() == at::kFloat ? 1e-3 : 1e-6;
  return !(difference.norm().item<double>() <= rounding * without.norm().item<double>());
}

double crossing_bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks) {
  const double uses = static_cast<double>(epochs_back * run.steps_per_epoch) *
                      static_cast<double>(run.batch(run.steps - 1).size(0)) / static_cast<double>(ranks);
  return InstanceMoves::bytes(run.game, uses);
}

class Crossings::Work {
 public:
  Work(const RecordedSteps& a_run, std::vector<std::int64_t> an_epochs_back, const Communicator& ranks)
      : run(a_run),
        epochs_back(std::move(an_epochs_back)),
        moves(run, epochs_back.back(), ranks.rank(), ranks.size()) {}

  void count(const KinksInReach& kinks, std::int64_t t, const at::Tensor& influence,
             const at::Tensor& crossed) const;
  at::Tensor moved_in(const KinksInReach& kinks, std::int64_t e, std::int64_t t) const;

  RecordedSteps run;
  std::vector<std::int64_t> epochs_back;
  InstanceMoves moves;
  bool looked_back = false;
};

// How far the uses before step t in stretch e move the units [uses, C].
at::Tensor Crossings::Work::moved_in(const KinksInReach& kinks, std::int64_t e, std::int64_t t) const {
  const MovesOfStretch& stretch = moves.stretch(e);
  const std::int64_t first = run.steps - (e + 1) * run.steps_per_epoch;
  const std::int64_t steps = std::min(t - first, static_cast<std::int64_t>(stretch.first_row.size()) - 1);
  const std::int64_t rows = stretch.first_row[steps];
  at::Tensor moved = moved_by(kinks, stretch, rows);
  const double now = static_cast<double>(run.moves(t)[run.game.perceptrons()->instance_player()].taken);
  if (run.optimiser.move_of(2).value() == 1) return moved;
  const at::Tensor taken = stretch.taken.narrow(0, 0, rows);
  std::vector<double> factor(rows);
  for (std::int64_t i = 0; i < rows; ++i)
    factor[i] = run.optimiser.move_of(static_cast<std::int64_t>(now - taken.data_ptr<double>()[i])).value();
  return moved.mul_(at::tensor(factor, at::kDouble).unsqueeze(1));
}

void Crossings::Work::count(const KinksInReach& kinks, std::int64_t t, const at::Tensor& influence,
                            const at::Tensor& crossed) const {
  const std::int64_t now = (run.steps - 1 - t) / run.steps_per_epoch;
  const at::Tensor open = at::gt(kinks.a, 0).to(at::kDouble);
  at::Tensor together;  // [instances, C], of all stretches so far
  std::int64_t e = now;
  for (std::size_t k = 0; k < epochs_back.size(); ++k) {
    if (epochs_back[k] <= now) continue;
    at::Tensor moved, who;
    for (; e < epochs_back[k]; ++e) {
      const MovesOfStretch& stretch = moves.stretch(e);
      moved = moved_in(kinks, e, t);
      who = stretch.who.narrow(0, 0, moved.size(0));
      if (!together.defined() && stretch.once && e + 1 == epochs_back.back()) break;  // nothing to add up
      if (!together.defined()) together = at::zeros({moves.instances(), kinks.a.size(0)}, at::kDouble);
      together.index_add_(0, who, moved);
    }
    if (together.defined()) moved = together;
    const at::Tensor flips = at::gt(moved, -kinks.a).to(at::kDouble).sub_(open);
    at::Tensor jumps = at::mm(flips, kinks.kappa.t() * -kinks.jump);  // [instances or uses, Q]
    at::Tensor positions = at::arange(moves.instances(), at::kLong);
    if (!together.defined()) positions = who;
    influence[static_cast<std::int64_t>(k)].index_add_(1, positions * moves.ranks() + moves.position(0),
                                                       jumps.t());
    crossed[static_cast<std::int64_t>(k)].add_(flips.abs().sum());
  }
}

Crossings::Crossings(const RecordedSteps& run, std::vector<std::int64_t> epochs_back,
                     const Communicator& ranks)
    : work_(std::make_unique<Work>(run, std::move(epochs_back), ranks)) {}
Crossings::~Crossings() = default;

void Crossings::look_back(std::int64_t end) {
  work_->moves.take(end);
  work_->looked_back = true;
}
bool Crossings::looked_back() const { return work_->looked_back; }

void Crossings::count(std::int64_t t, const at::Tensor& theta, const at::Tensor& q,
                      const at::Tensor& influence, const at::Tensor& crossed) const {
  const auto all = kinks_in_reach(work_->run, t, theta, q, work_->moves);
  const at::NoGradGuard no_graph;
  for (const KinksInReach& kinks : all)
    for (std::int64_t first = 0; first < kinks.a.size(0); first += units_at_once)
      work_->count(some_of(kinks, first, std::min(units_at_once, kinks.a.size(0) - first)), t, influence,
                   crossed);
}

}  // namespace whence
