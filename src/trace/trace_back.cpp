#include "whence/trace/trace_back.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
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
      all_queries_(queries.size(0)),
      steps_(options.epochs_back.back() * run.steps_per_epoch) {
  queries_ =
      part_of(queries.size(0), options.grid.query_groups, group_of(ranks.rank(), ranks.size(), options.grid));
  batch_ = run.batch(run.steps - 1).size(0);
  rows_ = part_of(batch_, group_.size(), group_.rank());
  instances_ = part_of(run.data.size(), group_.size(), group_.rank());
  const auto wide = queries.options().dtype(at::kDouble);
  const auto widths = static_cast<std::int64_t>(options.kink_widths.size());
  near_zero_ = at::zeros({widths * queries_.size(), 2}, wide);
  result_ = at::zeros(
      {widths, queries_.size(), static_cast<std::int64_t>(options.epochs_back.size()), instances_.size()},
      wide);
  plan_sweeps(queries);
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
  const OwnRows own = own_rows_of(positions);
  const at::Tensor all = pulled_back(t, before, batch);
  StepSums sums;
  std::vector<at::Tensor>& u_jacobian = sums.jacobians;
  for (std::size_t w = 0; w < sweeps_.size(); ++w) {
    Sweep& sweep = sweeps_[w];
    const at::Tensor q = rows_of_query(all, w);
    if (!needed(sweep.last)) {
      u_jacobian.push_back(at::zeros({0}, theta.options()));
      sums.shares.push_back(u_jacobian.back());
      continue;
    }
    const TracedStep traced = run_.engine.trace(theta, batch, q, sweep.kink_width);
    sums.shares.push_back(in_whole_batch(traced.u_instance));
    u_jacobian.push_back(traced.u_jacobian);
  }
  trace_near_zero(all, theta, batch, u_jacobian);
  if (crossings_ && needed(options_.counted.back())) count_crossings(t, all, theta, batch, sums);
  std::vector<at::Tensor> together(u_jacobian);
  together.insert(together.end(), sums.shares.begin(), sums.shares.end());
  group_.sum(together);
  note_near_zero(u_jacobian);
  if ((taken_ + 1) % FiniteWatch::patience == 0 || taken_ + 1 == steps_) group_.wait_for_device();
  for (std::size_t w = 0; w < sweeps_.size(); ++w) {
    if (!needed(sweeps_[w].last)) continue;
    add_shares(sweeps_[w].influence, sums.shares[w], own);
    run_.optimiser.part(sweeps_[w].u, 0).sub_(u_jacobian[w]);
    sweeps_[w].watch.see(sweeps_[w].u, t);
  }
  std::size_t share = sweeps_.size();
  for (const Counted& some : counted_)
    if (some.frozen.defined() && share < sums.shares.size())
      add_shares(some.influence, sums.shares[share++], own);
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

double TraceBack::traffic() const {
  if (group_.size() == 1) return 0;
  // One for each query of each sweep and frozen one; and the gradient.
  const auto rows = static_cast<double>(u_.size(0) + (run_.optimiser.needs_gradient() ? 1 : 0));
  return rows * (static_cast<double>(run_.game.layout().size() + batch_)) *
         static_cast<double>(u_.element_size());
}

// What this rank has found of its rows, among zeros.
at::Tensor TraceBack::in_whole_batch(const at::Tensor& own_rows) const {
  if (rows_.size() == batch_) return own_rows.contiguous();
  const at::Tensor all = at::zeros({own_rows.size(0), batch_}, own_rows.options());
  all.narrow(1, rows_.begin, rows_.size()).copy_(own_rows);
  return all;
}

TraceBack::OwnRows TraceBack::own_rows_of(const at::Tensor& positions) const {
  std::vector<std::int64_t> rows, places;
  const std::int64_t* position = positions.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < positions.numel(); ++row) {
    if (position[row] < instances_.begin || position[row] >= instances_.end) continue;
    rows.push_back(row);
    places.push_back(position[row] - instances_.begin);
  }
  const auto there = [&](const std::vector<std::int64_t>& numbers) {
    return at::tensor(numbers, at::kLong).to(u_.device(), at::kLong, /*non_blocking=*/true);
  };
  return {there(rows), there(places)};
}

// Adds what the mini-batch's instances get [q, |S|] to what those of this rank have [q, n].
void TraceBack::add_shares(const at::Tensor& influence, const at::Tensor& share, const OwnRows& own) const {
  influence.index_add_(1, own.places, at::index_select(share, 1, own.rows).to(at::kDouble));
}

std::int64_t TraceBack::sum_numbers() const {
  std::int64_t numbers = 0;
  for (const at::Tensor& part : sums()) numbers += part.numel();
  return numbers;
}

std::vector<at::Tensor> TraceBack::sums() const {
  std::vector<at::Tensor> parts{near_zero_, norms_, result_};
  for (const Sweep& sweep : sweeps_) parts.push_back(sweep.influence);
  for (const Counted& some : counted_)
    if (some.frozen.defined()) parts.push_back(some.influence);
  if (crossings_) parts.insert(parts.end(), {jumps_, crossed_});
  return parts;
}

TraceState TraceBack::state() {
  if (!settled()) throw std::logic_error("TraceBack::state: not settled");
  group_.wait_for_device();
  for (Sweep& sweep : sweeps_) sweep.watch.check();
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : sums()) parts.push_back(part.reshape({-1}));
  return {u_.view({-1}).cpu(), at::cat(parts).cpu()};
}

void TraceBack::restore(std::int64_t taken, const TraceState& state) {
  u_.copy_(state.queries.view(u_.sizes()));
  std::int64_t at = 0;
  for (const at::Tensor& into : sums()) {
    into.copy_(state.sums.narrow(0, at, into.numel()).reshape(into.sizes()));
    at += into.numel();
  }
  if (crossings_)
    crossings_ =
        std::make_unique<Crossings>(run_, options_.counted, options_.carried, options_.doubt, group_);
  taken_ = taken;
  after_.reset();
  const auto& epochs = options_.epochs_back;
  horizon_ = std::upper_bound(epochs.begin(), epochs.end(), taken / run_.steps_per_epoch) - epochs.begin();
}

InfluencePart TraceBack::part() {
  for (Sweep& sweep : sweeps_) sweep.watch.check();
  return {queries_, instances_, result_.cpu()};
}

at::Tensor TraceBack::result() {
  const InfluencePart own = part();
  if (ranks_.size() == 1) return own.values;
  at::Tensor all =
      at::zeros({own.values.size(0), all_queries_, own.values.size(2), run_.data.size()}, at::kDouble);
  all.narrow(1, queries_.begin, queries_.size())
      .narrow(3, instances_.begin, instances_.size())
      .copy_(own.values);
  ranks_.sum(all);
  return all;
}

at::Tensor TraceBack::near_zero_shares() {
  const auto widths = static_cast<std::int64_t>(options_.kink_widths.size());
  at::Tensor sums = at::zeros({widths, all_queries_, 2}, at::kDouble);
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
