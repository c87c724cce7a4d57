#include "whence/trace/crossings.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <optional>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "whence/net/activation.h"

#include "carried_moves.h"
#include "found_units.h"
#include "frozen_moves.h"
#include "instance_moves.h"
#include "kinks_in_reach.h"
#include "layer_record.h"

namespace whence {
namespace {

// Units that are counted at once, and steps that are counted together: every instance's uses are gone through
// once for all of them.
constexpr std::int64_t units_at_once = 128, steps_at_once = 16;
// Numbers of units that may wait for the last of those steps: wide layers have many.
constexpr std::int64_t most_waiting = std::int64_t{1} << 24;

// A move m counts for the units whose kink is no farther from them than this many |m|.
constexpr double reach_in_moves = 2;

}  // namespace

std::string crossings_left_out(const RecordedSteps& run) {
  if (!run.data.instances.device().is_cpu()) return "they are counted on the CPU alone";
  if (run.game.perceptrons() == nullptr) return run.game.perceptrons_left_out();
  if (!run.optimiser.move_of(1))
    return fmt::format("the optimiser {} moves parameters by factors of their own", run.optimiser.name());
  const std::int64_t t = run.steps - 1;
  const KinkPass pass(run.game, run.optimiser.part(run.state(run.steps), 0).unsqueeze(0),
                      wide_batches(run, {t}));
  const auto& layers = pass.instances.layers();
  if (std::none_of(layers.begin(), layers.end(), [](const auto& layer) { return layer.slope.defined(); }))
    return "its units have no kinks";
  return "";
}

bool has_kinks(const RecordedSteps& run) {
  if (!run.game.kinks_left_out().empty()) return true;
  const at::Tensor theta = run.optimiser.part(run.state(run.steps), 0);
  const Batch batch = batch_of_step(run, run.steps - 1);
  const at::Tensor query = at::ones({1, theta.size(0)}, theta.options());
  const auto traced = [&](double width) { return run.engine.trace(theta, batch, query, width).u_jacobian; };
  const at::Tensor without = traced(0).to(at::kDouble), difference = traced(1).to(at::kDouble) - without;
  const double rounding = run.game.dtype() == at::kFloat ? 1e-3 : 1e-6;
  return !(difference.norm().item<double>() <= rounding * without.norm().item<double>());
}

double passes(const RecordedSteps& run, std::int64_t steps) {
  const std::int64_t batch = run.batch(run.steps - 1).size(0);
  return static_cast<double>(steps) / static_cast<double>(run.data.size() / batch);
}

double crossing_bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks) {
  const double uses = static_cast<double>(epochs_back * run.steps_per_epoch) *
                      static_cast<double>(run.batch(run.steps - 1).size(0)) / static_cast<double>(ranks);
  // While a stretch is divided into groups it is there twice.
  return InstanceMoves::bytes(run.game, uses + uses / static_cast<double>(epochs_back),
                              static_cast<double>(run.data.size()) / static_cast<double>(ranks));
}

bool moves_can_be_carried(const RecordedSteps& run) {
  return run.optimiser.state_size(1) == 1 && run.optimiser.move_of(2) == 1;
}

double carrying_bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks) {
  return crossing_bytes(run, epochs_back, ranks) + CarriedMoves::bytes(run, epochs_back, ranks);
}

class Crossings::Work {
 public:
  Work(const RecordedSteps& a_run, std::vector<std::int64_t> an_epochs_back,
       const std::vector<std::int64_t>& with_carried, const MoveDoubt& a_doubt, const Communicator& ranks)
      : run(a_run),
        epochs_back(std::move(an_epochs_back)),
        doubt(a_doubt),
        passes_a_step(passes(run, 1)),
        samples(run.batch(run.steps - 1).size(0)) {
    for (std::size_t k = 0; k < epochs_back.size(); ++k) {
      if (std::find(with_carried.begin(), with_carried.end(), epochs_back[k]) == with_carried.end())
        frozen.push_back(k);
      else
        carried.emplace(k, CarriedMoves(run, epochs_back[k], ranks));
    }
    if (!frozen.empty())
      moves.emplace(run, epochs_back[frozen.back()], doubt.a_pass > 0 ? reach_in_moves : 1, ranks.rank(),
                    ranks.size());
  }

  void count(const KinksInReach& kinks, std::size_t group, const at::Tensor& influence,
             const at::Tensor& crossed) const;
  void count_carried(std::int64_t t, const at::Tensor& theta, const at::Tensor& q,
                     const at::Tensor& influence, const at::Tensor& crossed) const;
  void look();
  void settle(const at::Tensor& influence, const at::Tensor& crossed);

  RecordedSteps run;
  std::vector<std::int64_t> epochs_back;
  MoveDoubt doubt;
  double passes_a_step;
  std::int64_t samples;                         // of a step
  std::vector<std::size_t> frozen;              // of epochs_back, those with frozen moves
  std::map<std::size_t, CarriedMoves> carried;  // the others
  std::optional<InstanceMoves> moves;           // null where none are frozen
  bool looked_back = false, settled = true;
  std::vector<QueriedStep> steps;                            // to look for kinks in
  std::map<std::size_t, std::vector<KinksInReach>> waiting;  // by layer
  std::int64_t waiting_numbers = 0;

 private:
  at::Tensor flips(const KinksInReach& kinks, const at::Tensor& moved, std::int64_t epochs) const;
};

namespace {

// What <q, g> gains [Q, units] as each unit of step t goes up across its kink.
at::Tensor jumps_of_units(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta,
                          const at::Tensor& q) {
  const std::int64_t queries = q.size(0);
  KinkPass pass(run.game, theta.repeat({queries, 1}), repeated(wide_batches(run, {t}), queries));
  const auto layers = pass.kinked_layers();
  const auto kappa = kappas(run.game, pass, layers, q.to(at::kDouble));
  std::vector<at::Tensor> all;
  for (std::size_t i = 0; i < layers.size(); ++i) all.push_back(kappa[i].flatten(1) * layers[i].seen->jump());
  return at::cat(all, 1);
}

}  // namespace

// By how much of their kink's jump each of the moves [rows, C] since `epochs` epochs before the end changes
// the units' slopes, in the mean over what is doubted.
at::Tensor Crossings::Work::flips(const KinksInReach& kinks, const at::Tensor& moved,
                                  std::int64_t epochs) const {
  const auto jumps = [&] {
    return at::gt(moved, -kinks.a).to(at::kDouble).sub_(at::gt(kinks.a, 0).to(at::kDouble));
  };
  std::vector<double> share;
  for (const std::int64_t t : kinks.step) {
    const double since = static_cast<double>(t - run.steps + epochs * run.steps_per_epoch) * passes_a_step;
    share.push_back(std::sqrt(2.0) * doubt.a_pass * std::max(since - doubt.trusted_passes, 0.0));
  }
  const at::Tensor doubted = at::gt(at::tensor(share, at::kDouble), 0);
  if (!doubted.any().item<bool>()) return jumps();
  const at::Tensor length = moved.abs();
  const at::Tensor deviation =
      (length * at::tensor(share, at::kDouble)).clamp_min_(std::numeric_limits<double>::min());
  const at::Tensor mean = at::erf((moved + kinks.a) / deviation).sub_(at::erf(kinks.a / deviation));
  mean.mul_(0.5).mul_(kinks.a.abs() <= length * reach_in_moves);
  return doubted.all().item<bool>() ? mean : at::where(doubted, mean, jumps());
}

// Of step t: what each k's crossings with carried moves do to queries q [Q, P].
void Crossings::Work::count_carried(std::int64_t t, const at::Tensor& theta, const at::Tensor& q,
                                    const at::Tensor& influence, const at::Tensor& crossed) const {
  at::Tensor jumps;  // [Q, units]
  for (const auto& [k, moves_of_k] : carried) {
    if (run.steps - t > moves_of_k.epochs_back() * run.steps_per_epoch) continue;
    const CrossedUnits& units = moves_of_k.crossed(t);
    const auto count = static_cast<std::int64_t>(units.instance.size());
    if (count == 0) continue;
    if (!jumps.defined()) jumps = jumps_of_units(run, t, theta, q);
    const at::NoGradGuard no_graph;
    const at::Tensor who = at::tensor(units.instance, at::kLong), unit = at::tensor(units.unit, at::kLong),
                     up = at::tensor(units.up, at::kDouble);
    influence[static_cast<std::int64_t>(k)].index_add_(1, who, jumps.index_select(1, unit) * up, -1);
    crossed[static_cast<std::int64_t>(k)].add_(count);
  }
}

void Crossings::Work::count(const KinksInReach& kinks, std::size_t group, const at::Tensor& influence,
                            const at::Tensor& crossed) const {
  const std::int64_t now = (run.steps - 1 - kinks.step.front()) / run.steps_per_epoch;
  const at::Tensor& members = moves->members(group);
  at::Tensor together;  // [members, C], of all stretches so far
  std::int64_t e = now;
  for (const std::size_t k : frozen) {
    if (epochs_back[k] <= now) continue;
    at::Tensor moved, who;
    for (; e < epochs_back[k]; ++e) {
      const MovesOfStretch& stretch = moves->stretch(group, e);
      moved = frozen_moves(run, kinks, stretch, e);
      who = stretch.who.narrow(0, 0, moved.size(0));
      if (!together.defined() && stretch.once && e + 1 == epochs_back[frozen.back()])
        break;  // nothing to add up
      if (!together.defined()) together = at::zeros({members.size(0), kinks.size()}, at::kDouble);
      together.index_add_(0, who, moved);
    }
    if (together.defined()) moved = together;
    const at::Tensor flipped = flips(kinks, moved, epochs_back[k]);
    const at::Tensor jumps = at::mm(flipped, kinks.kappa.t() * -kinks.jump);  // [members or uses, Q]
    influence[static_cast<std::int64_t>(k)].index_add_(
        1, together.defined() ? members : members.index_select(0, who), jumps.t());
    crossed[static_cast<std::int64_t>(k)].add_(flipped.abs().sum());
  }
}

// For kinks in the steps that wait for it.
void Crossings::Work::look() {
  for (KinksInReach& kinks : kinks_in_reach(run, steps, moves->reach())) {
    waiting_numbers += kinks.numbers();
    waiting[kinks.layer].push_back(std::move(kinks));
  }
  steps.clear();
}

void Crossings::Work::settle(const at::Tensor& influence, const at::Tensor& crossed) {
  for (const auto& [layer, parts] : waiting) {
    const KinksInReach any = joined(parts);
    for (std::size_t group = 0; group < moves->groups(); ++group) {
      const KinksInReach kinks = still_in_reach(any, moves->reach(group));
      for (std::int64_t first = 0; first < kinks.size(); first += units_at_once)
        count(chosen(kinks, at::arange(first, std::min(first + units_at_once, kinks.size()), at::kLong)),
              group, influence, crossed);
    }
  }
  waiting.clear();
  waiting_numbers = 0;
}

Crossings::Crossings(const RecordedSteps& run, std::vector<std::int64_t> epochs_back,
                     const std::vector<std::int64_t>& carried, const MoveDoubt& doubt,
                     const Communicator& ranks)
    : work_(std::make_unique<Work>(run, std::move(epochs_back), carried, doubt, ranks)) {}
Crossings::~Crossings() = default;

bool Crossings::look_back(std::int64_t taken, const std::function<bool(double)>& going_on) {
  const auto is_done = [&](std::int64_t k) { return k * work_->run.steps_per_epoch <= taken; };
  double all = 0, done = 0;  // epochs
  for (const auto& [k, moves] : work_->carried)
    if (!is_done(moves.epochs_back())) all += static_cast<double>(moves.epochs_back());
  for (auto& [k, moves] : work_->carried) {
    if (is_done(moves.epochs_back())) continue;
    const auto own = static_cast<double>(moves.epochs_back());
    if (!moves.carry([&](double share) { return going_on((done + share * own) / all); })) return false;
    done += own;
  }
  if (work_->moves && !is_done(work_->epochs_back[work_->frozen.back()])) work_->moves->take();
  work_->looked_back = true;
  return true;
}
bool Crossings::looked_back() const { return work_->looked_back; }

void Crossings::count(std::int64_t t, const at::Tensor& theta, const at::Tensor& q,
                      const at::Tensor& influence, const at::Tensor& crossed) const {
  const std::int64_t taken = work_->run.steps - t, epoch = work_->run.steps_per_epoch;
  work_->count_carried(t, theta, q, influence, crossed);
  if (work_->frozen.empty() || taken > work_->epochs_back[work_->frozen.back()] * epoch) return;
  const std::int64_t a_pass = steps_a_pass(work_->run.game, work_->samples, q.size(0));
  const auto wide = [a_pass](const at::Tensor& tensor) {
    return tensor.to(at::kDouble, false, /*copy=*/a_pass > 1);
  };
  work_->steps.push_back({t, wide(theta), wide(q)});
  // Within an epoch, the uses of one stretch alone depend on the step.
  work_->settled = taken % steps_at_once == 0 || taken % epoch == 0;
  if (work_->settled || static_cast<std::int64_t>(work_->steps.size()) >= a_pass) work_->look();
  if (!work_->settled && work_->waiting_numbers <= most_waiting) return;
  const at::NoGradGuard no_graph;
  work_->settle(influence, crossed);
}
bool Crossings::settled() const { return work_->settled; }

}  // namespace whence
