#include "whence/influence/trace_back.h"

#include <algorithm>
#include <numeric>

#include <ATen/ops/zeros.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/train/step.h"

namespace whence {
namespace {

// One kink width's queries on their way back, with what they have collected so far.
struct Carried {
  double kink_width;
  at::Tensor u;          // [q, P], this group's queries
  at::Tensor influence;  // [q, N] float64, this rank's instances only
};

void check_finite(const Carried& carried, Range queries, std::int64_t t) {
  if (all_finite(carried.u)) return;
  for (std::int64_t q = 0; q < queries.size(); ++q)
    if (!all_finite(carried.u[q]))
      fail("trace-back of query {} at step {}: not a finite number (kink width {})", queries.begin + q, t,
           carried.kink_width);
}

void trace_step(const RecordedSteps& run, std::int64_t t, std::vector<Carried>& all, Range rows,
                Range queries, const Communicator& group) {
  const at::Tensor theta = run.params(t), positions = run.batch(t);
  const at::Tensor rates = run.game.layout().spread(run.rates(t), theta.scalar_type());
  const Batch batch = make_batch(run.data, positions, run.seed, t, rows, run.game);
  const at::Tensor own = positions.narrow(0, rows.begin, rows.size());
  for (Carried& carried : all) {
    TracedStep traced = run.engine.trace(theta, batch, carried.u * rates, carried.kink_width);
    carried.influence.index_add_(1, own, traced.u_instance.to(at::kDouble));
    group.sum(traced.u_jacobian);
    carried.u.sub_(traced.u_jacobian);
    check_finite(carried, queries, t);
  }
}

}  // namespace

Grid automatic_grid(std::int64_t ranks, std::int64_t queries) { return {std::gcd(ranks, queries)}; }

RecordedSteps recorded_steps_of(const Run& run) {
  const RunParts& parts = run.parts();
  return {*parts.game,
          *parts.engine,
          parts.data.train,
          parts.settings.seed,
          run.steps(),
          parts.schedule.steps_per_epoch(),
          [&run](std::int64_t t) { return run.state(t); },
          [&run](std::int64_t t) { return run.trajectory().batch(t); },
          [&run](std::int64_t t) { return run.trajectory().rates(t); },
          parts.settings.schedule.optimiser};
}

at::Tensor trace_back(const RecordedSteps& run, const at::Tensor& queries, const TraceBackOptions& options,
                      const Communicator& ranks, const std::function<void(std::int64_t)>& progress) {
  if (run.optimiser != Optimiser::sgd)
    refuse("--run: trained with adam, but trace-back is defined for plain gradient steps (--optimiser sgd)");
  const std::int64_t groups = options.grid.query_groups, group_size = ranks.size() / groups;
  const Range mine = part_of(queries.size(0), groups, ranks.rank() / group_size);
  const Communicator group = ranks.split(static_cast<int>(ranks.rank() / group_size));
  const auto widths = static_cast<std::int64_t>(options.kink_widths.size());
  const auto horizons = static_cast<std::int64_t>(options.epochs_back.size());
  const std::int64_t instances = run.data.size();

  std::vector<Carried> all;
  for (const double width : options.kink_widths)
    all.push_back({width, queries.narrow(0, mine.begin, mine.size()).clone(),
                   at::zeros({mine.size(), instances}, at::kDouble)});
  at::Tensor result = at::zeros({widths, queries.size(0), horizons, instances}, at::kDouble);

  const std::int64_t last = run.steps - options.epochs_back.back() * run.steps_per_epoch;
  const Range rows = part_of(run.batch(run.steps - 1).size(0), group_size, group.rank());
  std::int64_t horizon = 0;
  for (std::int64_t t = run.steps - 1; t >= last; --t) {
    trace_step(run, t, all, rows, mine, group);
    if (t == run.steps - options.epochs_back[horizon] * run.steps_per_epoch) {
      for (std::int64_t w = 0; w < widths; ++w)
        result[w].narrow(0, mine.begin, mine.size()).select(1, horizon).copy_(all[w].influence);
      ++horizon;
    }
    progress(run.steps - t);
  }
  ranks.sum(result);
  return result;
}

}  // namespace whence
