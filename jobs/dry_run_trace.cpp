// What whence influence would need.

#include <fmt/format.h>
#include <optional>

#include <ATen/ops/stack.h>

#include "whence/retrain/paths.h"
#include "whence/trace/trace_back.h"

#include "dry_run.h"
#include "dry_run_crossings.h"
#include "dry_run_steps.h"

namespace whence {
namespace {

// Of a step back of such a trace, shared by `ranks`.
double seconds_of_step(const RecordedSteps& recorded, const at::Tensor& queries,
                       const TraceBackOptions& options, const Communicator& ranks,
                       const Communicator& world) {
  std::optional<TraceBack> sweep;
  return seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) {
          if (!sweep || sweep->done()) sweep.emplace(recorded, queries, options, ranks);
          sweep->step();
        }
      },
      world);
}

// Of --paths: what they take is added to `needs`.
void add_paths(Needs& needs, const Run& run, const RecordedSteps& recorded, const at::Tensor& queries,
               const TraceBackOptions& options, const PathPlan& paths, std::int64_t memory, double evaluation,
               const Communicator& world) {
  const Communicator alone(MPI_COMM_SELF);
  TraceBackOptions plain = options;
  plain.counted.clear();
  plain.grid = {1};
  const auto state = static_cast<std::int64_t>(bytes_of(run));
  const PathNeeds kept = path_needs(options.epochs_back.back() * recorded.steps_per_epoch, state, memory);
  const double step = seconds_of_step(recorded, queries, plain, alone, world);
  const double retrained = step_seconds(run.parts(), run.state(run.steps()), alone, world);
  needs.work += fmt::format(", {} retrained paths for each k ({} states of one kept at once)", paths.count,
                            kept.states);
  needs.seconds += seconds_of_paths(paths, options, recorded.steps_per_epoch, step,
                                    retrained * (kept.stride > 1 ? 2 : 1), evaluation, world.size());
  const double numbers = static_cast<double>(path_rows(paths.count, options) *
                                             path_row_width(options, queries.size(0), recorded.data.size()));
  needs.memory += static_cast<double>(kept.states * state) + 8 * numbers / static_cast<double>(paths.count);
  needs.disk += 8 * numbers;
}

}  // namespace

Needs needs_of_tracing_back(const Run& run, const std::vector<std::shared_ptr<const Metric>>& metrics,
                            const TraceBackOptions& options, const PathPlan& paths, std::int64_t memory,
                            const Communicator& world) {
  const RecordedSteps recorded = without_states(run);
  const at::Tensor end = run.params(run.steps());
  Stopwatch watch;
  std::vector<at::Tensor> queries;
  for (const auto& metric : metrics) queries.push_back(metric->evaluate(end, world).gradient);
  const double evaluation = watch.seconds();
  const std::int64_t steps = options.epochs_back.back() * recorded.steps_per_epoch;
  const at::Tensor all = at::stack(queries);
  TraceBackOptions plain = options;
  plain.counted.clear();
  const double step = seconds_of_step(recorded, all, plain, world, world);
  const CrossingNeeds counting = needs_of_crossings(recorded, all, options, step, world);

  const double numbers = static_cast<double>(options.kink_widths.size() * metrics.size() *
                                             options.epochs_back.size() * recorded.data.size());
  const TraceBack sweep(recorded, all, options, world);
  const double element = run.parts().game->dtype() == at::kFloat ? 4 : 8;
  const double sums = 8 * static_cast<double>(sweep.sum_numbers()),
               carried = element * static_cast<double>(sweep.query_numbers()) / sweep.group().size();
  const ReplayNeeds replay = replay_needs(run.trajectory().recorded(), run.steps() - steps,
                                          static_cast<std::int64_t>(bytes_of(run)), memory);
  Needs needs{"influence", fmt::format("{} steps back, {} to replay, {} queries, {} kink widths", steps,
                                       replay.steps, metrics.size(), options.kink_widths.size())};
  if (!options.counted.empty())
    needs.work += fmt::format(", crossings counted {} epochs back", options.counted.back());
  if (!options.carried.empty())
    needs.work += fmt::format(", moves carried forward for {}", fmt::join(options.carried, ", "));
  needs.seconds = evaluation + static_cast<double>(steps) * step + counting.seconds;
  if (replay.steps > 0)
    needs.seconds +=
        static_cast<double>(replay.steps) * step_seconds(run.parts(), run.state(run.steps()), world, world);
  needs.traffic = sweep.traffic();
  // What is added up is copied to be saved now and then. A file that is saved takes the place of one before.
  // A state is read while the one before is there still, by several ranks in parts that are put together.
  needs.memory = counting.memory + sums +
                 static_cast<double>(replay.states + (world.size() > 1 ? 2 : 1)) * bytes_of(run);
  needs.disk = 8 * numbers + 2 * (sums + carried) * world.size();
  needs.folder = run.folder();
  if (paths.count > 0)
    add_paths(needs, run, recorded, all, options, paths, memory, evaluation * world.size(), world);
  return needs;
}

}  // namespace whence
