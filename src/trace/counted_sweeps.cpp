// The part of a trace-back that counts crossings: which sweeps it takes, and what they add up to.

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/trace/trace_back.h"

namespace whence {

double width_beside_crossings(double kink_width, double passes_back) {
  constexpr double share = 0.1;
  return passes_back <= 1 ? 0.0 : share * kink_width;
}

bool TraceBack::look_back(const std::function<bool(double)>& going_on) {
  if (!crossings_ || crossings_->looked_back() || !needed(options_.counted.back())) return true;
  return crossings_->look_back(taken_, going_on);
}

double TraceBack::beside(double kink_width, std::int64_t epochs_back) const {
  if (options_.is_carried(epochs_back)) return 0;
  return width_beside_crossings(kink_width, passes(run_, epochs_back * run_.steps_per_epoch));
}

// The sweeps of all kink widths, and room for their queries.
void TraceBack::plan_sweeps(const at::Tensor& queries) {
  const std::int64_t numbers = run_.optimiser.state_size(queries.size(1));
  const auto add_sweep = [&](double width, std::int64_t last) {
    sweeps_.push_back({width,
                       {},
                       at::zeros({queries_.size(), instances_.size()}, near_zero_.options()),
                       watch_queries(width, numbers),
                       last});
  };
  const auto& counted = options_.counted;
  for (const double width : options_.kink_widths) {
    std::int64_t last = 0;
    for (const std::int64_t k : options_.epochs_back)
      if (!is_counted(width, k)) last = k;
    add_sweep(width, last);
  }
  for (const double width : options_.kink_widths)
    for (const std::int64_t k : counted) {
      if (!is_counted(width, k)) continue;
      const double own = beside(width, k);
      auto sweep = std::find_if(sweeps_.begin(), sweeps_.end(),
                                [&](const Sweep& other) { return other.kink_width == own; });
      if (sweep == sweeps_.end()) {
        add_sweep(own, k);
        sweep = sweeps_.end() - 1;
      }
      sweep->last = std::max(sweep->last, k);
      const auto place = static_cast<std::size_t>(sweep - sweeps_.begin());
      if (std::none_of(counted_.begin(), counted_.end(),
                       [&](const Counted& other) { return other.sweep == place; }))
        counted_.push_back({place, {}, {}});
    }
  const auto frozen = std::count_if(counted_.begin(), counted_.end(),
                                    [&](const Counted& some) { return sweeps_[some.sweep].kink_width > 0; });
  u_ = at::zeros({(static_cast<std::int64_t>(sweeps_.size()) + frozen) * queries_.size(), numbers},
                 queries.options());
  std::int64_t row = 0;
  const auto next_rows = [&] {
    row += queries_.size();
    return u_.narrow(0, row - queries_.size(), queries_.size());
  };
  for (Sweep& sweep : sweeps_) {
    sweep.u = next_rows();
    run_.optimiser.model(sweep.u).copy_(queries.narrow(0, queries_.begin, queries_.size()));
  }
  for (Counted& some : counted_) {
    if (sweeps_[some.sweep].kink_width == 0) continue;
    some.frozen = next_rows();
    some.influence = at::zeros_like(sweeps_[some.sweep].influence);
  }
  if (counted_.empty()) return;
  crossings_ = std::make_unique<Crossings>(run_, counted, options_.carried, options_.doubt, group_);
  const auto horizons = static_cast<std::int64_t>(counted.size());
  jumps_ =
      at::zeros({horizons, static_cast<std::int64_t>(counted_.size()) * queries_.size(), run_.data.size()},
                near_zero_.options());
  crossed_ = at::zeros({horizons}, near_zero_.options());
}

bool TraceBack::is_counted(double kink_width, std::int64_t epochs_back) const {
  const auto& counted = options_.counted;
  return kink_width > 0 && std::find(counted.begin(), counted.end(), epochs_back) != counted.end();
}

// What step t adds to the estimates with counted crossings, and to `sums` q^T J without curvature of kinks
// and what instances get, one for each of their sweeps that has such curvature.
//
// A crossing is counted in place of what the curvature makes of the same move: of a move m frozen since its
// use, sum_c kappa_c N(a_c) <m, grad a_c> = <m, y>, y = q^T J(h) - q^T J(0). As m is a sum over uses, all
// that is to be taken out of the influence of one use is its product with the sum of all later y, which
// `frozen` carries.
void TraceBack::count_crossings(std::int64_t t, const at::Tensor& all, const at::Tensor& theta,
                                const Batch& batch, StepSums& sums) {
  look_back([](double) { return true; });
  std::vector<at::Tensor> queries;
  for (const Counted& some : counted_) queries.push_back(rows_of_query(all, some.sweep));
  crossings_->count(t, theta, at::cat(queries), jumps_, crossed_);
  std::size_t row = sweeps_.size();
  for (const Counted& some : counted_) {
    if (!some.frozen.defined()) continue;
    const at::Tensor both = at::cat({rows_of_query(all, some.sweep), rows_of_query(all, row++)});
    const TracedStep traced = run_.engine.trace(theta, batch, both, 0);
    const at::Tensor both_shares =
        traced.u_instance.narrow(0, 0, queries_.size()).to(at::kDouble) +
        traced.u_instance.narrow(0, queries_.size(), queries_.size()).to(at::kDouble);
    sums.shares.push_back(in_whole_batch(both_shares));
    sums.jacobians.push_back(traced.u_jacobian.narrow(0, 0, queries_.size()).contiguous());
  }
}

// jacobians: of the sweeps, then what count_crossings() added.
void TraceBack::take_out_curvature(const std::vector<at::Tensor>& jacobians) {
  if (!crossings_ || !needed(options_.counted.back())) return;
  const auto [begin, end] = run_.game.layout().block(run_.game.perceptrons()->instance_player());
  std::size_t next = sweeps_.size();
  for (const Counted& some : counted_) {
    if (!some.frozen.defined()) continue;
    run_.optimiser.part(some.frozen, 0)
        .narrow(1, begin, end - begin)
        .add_((jacobians[some.sweep] - jacobians[next++]).narrow(1, begin, end - begin));
  }
}

void TraceBack::note_horizon() {
  const std::int64_t k = options_.epochs_back[horizon_];
  for (std::size_t w = 0; w < options_.kink_widths.size(); ++w) {
    const double width = options_.kink_widths[w];
    const at::Tensor into = result_[static_cast<std::int64_t>(w)].select(1, horizon_);
    if (!is_counted(width, k)) {
      into.copy_(sweeps_[w].influence);
      continue;
    }
    const std::int64_t place =
        std::find(options_.counted.begin(), options_.counted.end(), k) - options_.counted.begin();
    for (std::size_t c = 0; c < counted_.size(); ++c) {
      const Sweep& sweep = sweeps_[counted_[c].sweep];
      if (sweep.kink_width != beside(width, k)) continue;
      const at::Tensor& smooth = counted_[c].frozen.defined() ? counted_[c].influence : sweep.influence;
      at::Tensor jumps = rows_of_query(jumps_[place], c);
      if (group_.size() > 1) {
        jumps = jumps.clone();
        group_.sum(jumps);
      }
      into.copy_(smooth + jumps.narrow(1, instances_.begin, instances_.size()));
    }
  }
  ++horizon_;
}

std::vector<double> TraceBack::crossings_each() {
  if (!crossings_) return {};
  at::Tensor all = crossed_.clone();
  group_.sum(all);
  ranks_.broadcast(all);  // another group may have added up in another order
  all.div_(static_cast<double>(run_.data.size()));
  return {all.data_ptr<double>(), all.data_ptr<double>() + all.numel()};
}

}  // namespace whence
