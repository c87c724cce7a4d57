#include "whence/trace/trace_back.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/trace/adjoint_norms.h"
#include "whence/train/step.h"

namespace whence {

std::int64_t group_of(std::int64_t rank, std::int64_t ranks, const Grid& grid) {
  std::int64_t group = 0;
  while (part_of(ranks, grid.query_groups, group).end <= rank) ++group;
  return group;
}

Grid automatic_grid(std::int64_t ranks, std::int64_t queries, std::int64_t batch) {
  Grid best{1};
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t groups = 1; groups <= std::min(ranks, queries); ++groups) {
    std::int64_t slowest = 0;
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t members = part_of(ranks, groups, g).size(), rows = part_of(batch, members, 0).size();
      slowest =
          std::max(slowest, part_of(queries, groups, g).size() * (rows + (members > 1 ? traffic_rows : 0)));
    }
    if (slowest > least) continue;
    least = slowest;
    best = {groups};
  }
  return best;
}

TraceBack::TraceBack(const RecordedSteps& run, const at::Tensor& queries, const TraceBackOptions& options,
                     const Communicator& ranks)
    : run_(run),
      options_(options),
      ranks_(ranks),
      group_(ranks.split(static_cast<int>(group_of(ranks.rank(), ranks.size(), options.grid)))),
      steps_(options.epochs_back.back() * run.steps_per_epoch) {
  queries_ =
      part_of(queries.size(0), options.grid.query_groups, group_of(ranks.rank(), ranks.size(), options.grid));
  rows_ = part_of(run.batch(run.steps - 1).size(0), group_.size(), group_.rank());
  const std::int64_t instances = run.data.size();
  const auto wide = queries.options().dtype(at::kDouble);
  const auto widths = static_cast<std::int64_t>(options.kink_widths.size());
  near_zero_ = at::zeros({widths * queries_.size(), 2}, wide);
  plan_sweeps(queries);
  result_ = at::zeros(
      {widths, queries.size(0), static_cast<std::int64_t>(options.epochs_back.size()), instances}, wide);
  norms_ = at::zeros({widths * queries_.size(), static_cast<std::int64_t>(noted_steps(steps_).size())}, wide);
  for (std::size_t w = 0; w < options.kink_widths.size(); ++w) estimating_.push_back(sweep_of_estimate(w));
  note_norms();
}

FiniteWatch TraceBack::watch_queries(double kink_width, std::int64_t numbers) const {
  // Terms of the kink go through slopes of 1 / epsilon where a second moment is near 0.
  const char* way_out = kink_width == 0 ? "fewer --epochs-back" : "--kink-width 0 or fewer --epochs-back";
  return {{{0, numbers}},
          [first = queries_.begin, kink_width, last = run_.steps, way_out](std::int64_t t, std::int64_t row,
                                                                           std::int64_t) {
            return fmt::format(
                "trace-back of query {} at step {}: not a finite number (kink width {}): it has grown beyond "
                "every bound in {} steps, and no estimate of so many means anything; {} may help",
                first + row, t, kink_width, last - t, way_out);
          }};
}

// q [widths q, P], with u carried back through the optimiser.
at::Tensor TraceBack::pulled_back(std::int64_t t, const at::Tensor& before, const Batch& batch) {
  if (!after_.defined()) after_ = run_.state(t + 1);
  const Moves moves = run_.moves(t);
  TakenStep taken{before, after_, {}};
  if (run_.optimiser.needs_gradient()) {
    const at::Tensor theta = run_.optimiser.part(before, 0).unsqueeze(0);
    at::Tensor gradient =
        run_.engine.gradient(theta, batch, at::ones({1, batch.instances.size(0)}, theta.options()));
    group_.sum(gradient);
    taken.gradient = gradient[0];
  }
  const at::Tensor q = run_.optimiser.pull_back(u_, taken, moves);
  near_ = taken_ % near_zero_stride == 0 ? run_.optimiser.near_zero(after_, moves) : at::Tensor();
  after_ = before;
  return q;
}

// Of every near_zero_stride-th step: traces the part of q that is near zero, too.
void TraceBack::trace_near_zero(const at::Tensor& q, const at::Tensor& theta, const Batch& batch,
                                std::vector<at::Tensor>& jacobians) {
  if (!near_.defined()) return;
  for (std::size_t w = 0; w < sweeps_.size(); ++w) {
    const at::Tensor own =
        q.narrow(0, static_cast<std::int64_t>(w) * queries_.size(), queries_.size()) * near_;
    jacobians.push_back(run_.engine.trace(theta, batch, own, sweeps_[w].kink_width).u_jacobian);
  }
}

// jacobians: q^T J of each width, then those of the part near zero.
void TraceBack::note_near_zero(const std::vector<at::Tensor>& jacobians) {
  if (!near_.defined()) return;
  const std::size_t widths = sweeps_.size();
  for (std::size_t w = 0; w < widths; ++w) {
    const auto squares = [&](const at::Tensor& jacobian) { return jacobian.to(at::kDouble).square().sum(1); };
    near_zero_.narrow(0, static_cast<std::int64_t>(w) * queries_.size(), queries_.size())
        .add_(at::stack({squares(jacobians[widths + w]), squares(jacobians[w])}, 1));
  }
}

void TraceBack::step() {
  const std::int64_t t = run_.steps - 1 - taken_;
  const at::Tensor before = run_.state(t), positions = run_.batch(t);
  const at::Tensor theta = run_.optimiser.part(before, 0);
  const Batch batch = make_batch(run_.data, positions, run_.seed, t, rows_, run_.game);
  const at::Tensor own =
      positions.narrow(0, rows_.begin, rows_.size()).to(theta.device(), at::kLong, /*non_blocking=*/true);
  const at::Tensor all = pulled_back(t, before, batch);
  std::vector<at::Tensor> u_jacobian;
  for (std::size_t w = 0; w < sweeps_.size(); ++w) {
    Sweep& sweep = sweeps_[w];
    const at::Tensor q = rows_of_query(all, w);
    if (!needed(sweep.last)) {
      u_jacobian.push_back(at::zeros({0}, theta.options()));
      continue;
    }
    const TracedStep traced = run_.engine.trace(theta, batch, q, sweep.kink_width);
    sweep.influence.index_add_(1, own, traced.u_instance.to(at::kDouble));
    u_jacobian.push_back(traced.u_jacobian);
  }
  trace_near_zero(all, theta, batch, u_jacobian);
  if (crossings_ && needed(options_.counted.back())) count_crossings(t, all, theta, batch, own, u_jacobian);
  group_.sum(u_jacobian);
  note_near_zero(u_jacobian);
  if ((taken_ + 1) % FiniteWatch::patience == 0 || taken_ + 1 == steps_) group_.wait_for_device();
  for (std::size_t w = 0; w < sweeps_.size(); ++w) {
    if (!needed(sweeps_[w].last)) continue;
    run_.optimiser.part(sweeps_[w].u, 0).sub_(u_jacobian[w]);
    sweeps_[w].watch.see(sweeps_[w].u, t);
  }
  take_out_curvature(u_jacobian);
  ++taken_;
  note_norms();
  if (!done() && run_.expect) run_.expect(t - 1);
  if (taken_ == options_.epochs_back[horizon_] * run_.steps_per_epoch) note_horizon();
}

// The queries of sweep w, or of what follows the sweeps.
at::Tensor TraceBack::rows_of_query(const at::Tensor& all, std::size_t w) const {
  return all.narrow(0, static_cast<std::int64_t>(w) * queries_.size(), queries_.size());
}

// A view of what this rank's group fills in.
at::Tensor TraceBack::own_result() const { return result_.narrow(1, queries_.begin, queries_.size()); }

std::int64_t TraceBack::state_numbers() const {
  std::int64_t numbers = 0;
  for (const at::Tensor& part : carried()) numbers += part.numel();
  return numbers;
}

std::vector<at::Tensor> TraceBack::carried() const {
  std::vector<at::Tensor> parts;
  for (const Sweep& sweep : sweeps_) parts.insert(parts.end(), {sweep.u, sweep.influence});
  parts.insert(parts.end(), {near_zero_, norms_, own_result()});
  for (const Counted& some : counted_)
    if (some.frozen.defined()) parts.insert(parts.end(), {some.frozen, some.influence});
  if (crossings_) parts.insert(parts.end(), {jumps_, crossed_});
  return parts;
}

at::Tensor TraceBack::state() {
  if (!settled()) throw std::logic_error("TraceBack::state: not settled");
  group_.wait_for_device();
  for (Sweep& sweep : sweeps_) sweep.watch.check();
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : carried()) parts.push_back(part.reshape({-1}).to(at::kDouble));
  return at::cat(parts).cpu();
}

void TraceBack::restore(std::int64_t taken, const at::Tensor& state) {
  std::int64_t at = 0;
  for (const at::Tensor& into : carried()) {
    into.copy_(state.narrow(0, at, into.numel()).reshape(into.sizes()));
    at += into.numel();
  }
  if (crossings_) crossings_ = std::make_unique<Crossings>(run_, options_.counted, options_.doubt, group_);
  taken_ = taken;
  after_.reset();
  const auto& epochs = options_.epochs_back;
  horizon_ = std::upper_bound(epochs.begin(), epochs.end(), taken / run_.steps_per_epoch) - epochs.begin();
}

at::Tensor TraceBack::result() {
  for (Sweep& sweep : sweeps_) sweep.watch.check();
  at::Tensor all = result_.to(at::kCPU, at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  ranks_.sum(all);
  return all;
}

at::Tensor TraceBack::near_zero_shares() {
  const auto widths = static_cast<std::int64_t>(options_.kink_widths.size());
  at::Tensor sums = at::zeros({widths, result_.size(1), 2}, at::kDouble);
  if (group_.rank() == 0)  // the others of the group have the same
    sums.narrow(1, queries_.begin, queries_.size()).copy_(near_zero_.reshape({widths, queries_.size(), 2}));
  ranks_.sum(sums);
  if (!run_.optimiser.near_zero(run_.state(run_.steps), run_.moves(run_.steps - 1)).defined()) return {};
  return sums.select(2, 0) / sums.select(2, 1).clamp_min(std::numeric_limits<double>::min());
}

at::Tensor trace_back(const RecordedSteps& run, const at::Tensor& queries, const TraceBackOptions& options,
                      const Communicator& ranks, const std::function<void(std::int64_t)>& progress) {
  TraceBack sweep(run, queries, options, ranks);
  while (!sweep.done()) {
    sweep.step();
    progress(sweep.taken());
  }
  return sweep.result();
}

}  // namespace whence
