#include "whence/trace/trace_back.h"

#include <algorithm>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
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

void check_traceable(const Optimiser& optimiser) {
  if (!optimiser.traceable())
    refuse("--run: trained with {}, but trace-back is defined for plain gradient steps (--optimiser sgd)",
           optimiser.name());
}

TraceBack::TraceBack(const RecordedSteps& run, const at::Tensor& queries, const TraceBackOptions& options,
                     const Communicator& ranks)
    : run_(run),
      options_(options),
      ranks_(ranks),
      group_(ranks.split(static_cast<int>(group_of(ranks.rank(), ranks.size(), options.grid)))),
      steps_(options.epochs_back.back() * run.steps_per_epoch) {
  check_traceable(run.optimiser);
  queries_ =
      part_of(queries.size(0), options.grid.query_groups, group_of(ranks.rank(), ranks.size(), options.grid));
  rows_ = part_of(run.batch(run.steps - 1).size(0), group_.size(), group_.rank());
  const std::int64_t instances = run.data.size();
  const auto wide = queries.options().dtype(at::kDouble);
  for (const double width : options.kink_widths)
    sweeps_.push_back({width, queries.narrow(0, queries_.begin, queries_.size()).clone(),
                       at::zeros({queries_.size(), instances}, wide), watch_queries(width, queries.size(1))});
  result_ = at::zeros({static_cast<std::int64_t>(options.kink_widths.size()), queries.size(0),
                       static_cast<std::int64_t>(options.epochs_back.size()), instances},
                      wide);
}

FiniteWatch TraceBack::watch_queries(double kink_width, std::int64_t parameters) const {
  return {{{0, parameters}},
          [first = queries_.begin, kink_width](std::int64_t t, std::int64_t row, std::int64_t) {
            return fmt::format("trace-back of query {} at step {}: not a finite number (kink width {})",
                               first + row, t, kink_width);
          }};
}

void TraceBack::step() {
  const std::int64_t t = run_.steps - 1 - taken_;
  const at::Tensor theta = run_.state(t), positions = run_.batch(t);
  const at::Tensor rates = run_.game.layout().spread(run_.rates(t), theta.options());
  const Batch batch = make_batch(run_.data, positions, run_.seed, t, rows_, run_.game);
  const at::Tensor own =
      positions.narrow(0, rows_.begin, rows_.size()).to(theta.device(), at::kLong, /*non_blocking=*/true);
  std::vector<at::Tensor> u_jacobian;
  for (Sweep& sweep : sweeps_) {
    const TracedStep traced = run_.engine.trace(theta, batch, sweep.u * rates, sweep.kink_width);
    sweep.influence.index_add_(1, own, traced.u_instance.to(at::kDouble));
    u_jacobian.push_back(traced.u_jacobian);
  }
  group_.sum(u_jacobian);
  if ((taken_ + 1) % FiniteWatch::patience == 0 || taken_ + 1 == steps_) group_.wait_for_device();
  for (std::size_t w = 0; w < sweeps_.size(); ++w) {
    sweeps_[w].u.sub_(u_jacobian[w]);
    sweeps_[w].watch.see(sweeps_[w].u, t);
  }
  ++taken_;
  if (!done() && run_.expect) run_.expect(t - 1);
  if (taken_ != options_.epochs_back[horizon_] * run_.steps_per_epoch) return;
  for (std::size_t w = 0; w < sweeps_.size(); ++w)
    own_result()[static_cast<std::int64_t>(w)].select(1, horizon_).copy_(sweeps_[w].influence);
  ++horizon_;
}

// A view of what this rank's group fills in.
at::Tensor TraceBack::own_result() const { return result_.narrow(1, queries_.begin, queries_.size()); }

std::int64_t TraceBack::state_numbers() const {
  std::int64_t numbers = own_result().numel();
  for (const Sweep& sweep : sweeps_) numbers += sweep.u.numel() + sweep.influence.numel();
  return numbers;
}

at::Tensor TraceBack::state() {
  group_.wait_for_device();
  std::vector<at::Tensor> parts;
  for (Sweep& sweep : sweeps_) {
    sweep.watch.check();
    parts.push_back(sweep.u.reshape({-1}).to(at::kDouble));
    parts.push_back(sweep.influence.reshape({-1}));
  }
  parts.push_back(own_result().reshape({-1}));
  return at::cat(parts).cpu();
}

void TraceBack::restore(std::int64_t taken, const at::Tensor& state) {
  std::int64_t at = 0;
  const auto take = [&](const at::Tensor& into) {
    into.copy_(state.narrow(0, at, into.numel()).reshape(into.sizes()));
    at += into.numel();
  };
  for (Sweep& sweep : sweeps_) {
    take(sweep.u);
    take(sweep.influence);
  }
  take(own_result());
  taken_ = taken;
  const auto& epochs = options_.epochs_back;
  horizon_ = std::upper_bound(epochs.begin(), epochs.end(), taken / run_.steps_per_epoch) - epochs.begin();
}

at::Tensor TraceBack::result() {
  for (Sweep& sweep : sweeps_) sweep.watch.check();
  at::Tensor all = result_.to(at::kCPU, at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  ranks_.sum(all);
  return all;
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
