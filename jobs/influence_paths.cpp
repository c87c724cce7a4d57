#include "influence_paths.h"

#include <algorithm>
#include <fmt/format.h>

#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/retrain/paths.h"
#include "whence/stats/pairwise_tau.h"

namespace whence {
namespace {

std::string traces_file(const Run& run) { return run.folder() + "/influence-paths.h5"; }

// Of the traces [n + 1, N].
double mean_tau(const at::Tensor& traces) {
  std::vector<std::vector<double>> lists;
  for (std::int64_t p = 0; p < traces.size(0); ++p) {
    const double* first = traces[p].data_ptr<double>();
    lists.emplace_back(first, first + traces.size(1));
  }
  return stats::mean_pairwise_tau(lists);
}

// Of the rows of the store; each rank takes some of the estimates.
void summarise(const BlockStore& store, InfluenceEstimates& estimates, EstimateParts& parts,
               std::int64_t paths, const Communicator& world) {
  const auto widths = static_cast<std::int64_t>(estimates.kink_widths.size()),
             metrics = static_cast<std::int64_t>(estimates.metrics.size()),
             horizons = static_cast<std::int64_t>(estimates.epochs_back.size()),
             instances = static_cast<std::int64_t>(estimates.instance_ids.size());
  at::Tensor tau = at::zeros({widths, metrics, horizons}, at::kDouble);
  world.on_every_rank([&] {
    for (std::int64_t row = world.rank(); row < widths * metrics * horizons; row += world.size()) {
      const std::int64_t h = row / (metrics * horizons), m = row / horizons % metrics, k = row % horizons;
      std::vector<at::Tensor> traces;
      for (std::int64_t p = 0; p <= paths; ++p)
        traces.push_back(
            store.read(p * horizons + k, (h * metrics + m) * instances, instances).reshape({-1}));
      const at::Tensor together = at::stack(traces);
      parts.spread.push_back({h, m, k, spread_of(together)});
      tau[h][m][k] = mean_tau(together);
    }
  });
  world.sum(tau);
  estimates.path_tau = tau;
}

}  // namespace

PathPlan plan_paths(const Options& options, const RecordedSteps& run,
                    const std::vector<std::int64_t>& epochs_back) {
  const std::int64_t count = options.integer("paths", 0);
  if (count == 0) return {};
  PathPlan plan{count, instances_of_paths(run, count, epochs_back)};
  check_paths_fit(run, plan.without, epochs_back, memory_limit(options));
  return plan;
}

double seconds_of_paths(const PathPlan& plan, const TraceBackOptions& trace, std::int64_t steps_per_epoch,
                        double step, double retrained, double evaluation, std::int64_t ranks) {
  if (plan.count == 0) return 0;
  const auto steps = [&](std::int64_t k) { return static_cast<double>(k * steps_per_epoch); };
  const double longest = steps(trace.epochs_back.back()) * (step + retrained) + evaluation;
  const bool again = ranks > 1 || !trace.counted.empty();  // the recorded path, by one rank
  double all = again ? steps(trace.epochs_back.back()) * step + evaluation : 0;
  for (const std::int64_t k : trace.epochs_back)
    all += static_cast<double>(plan.count) * (steps(k) * (step + retrained) + evaluation);
  return std::max(all / static_cast<double>(ranks), longest);
}

PathProgress find_spread(const PathJob& job, InfluenceEstimates& estimates, EstimateParts& parts,
                         const Log& log, const Communicator& world) {
  job.run.walk_back(Communicator(MPI_COMM_SELF), job.memory);
  const auto metrics = static_cast<std::int64_t>(job.metrics.size());
  const bool plain = job.formula == "sgd", have = world.size() == 1 && job.trace.counted.empty();
  BlockStore store(traces_file(job.run), path_blocks_schema, job.attributes,
                   path_rows(job.plan.count, job.trace),
                   path_row_width(job.trace, metrics, job.recorded.data.size()), world, job.unfinished);
  const PathWork work{
      job.recorded,         [plain](const RecordedSteps& run) { return plain ? as_plain_steps(run) : run; },
      job.metrics,          job.trace,
      job.plan.without,     job.memory,
      traces_file(job.run), job.attributes,
      job.unfinished,       store,
      job.signals};
  PathProgress found = trace_paths(work, have ? parts.influence.values : at::Tensor(), log, world);
  if (found.done < found.total) {
    store.close();
    if (!found.failure.empty())
      found.failure =
          fmt::format("--paths: the estimates are written without a spread, since {}", found.failure);
    return found;
  }
  store.close_and_check();
  std::vector<at::Tensor> ids;
  for (const auto& chosen : job.plan.without) {
    std::vector<std::int64_t> own;
    for (const std::int64_t position : chosen) own.push_back(estimates.instance_ids[position]);
    ids.push_back(at::tensor(own, at::kLong));
  }
  summarise(store, estimates, parts, job.plan.count, world);
  estimates.path_id = at::stack(ids);
  return found;
}

void remove_traces(const Run& run) { remove_with_prefix(traces_file(run) + ".part"); }

}  // namespace whence
