// What whence influence would need.

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include <ATen/ops/stack.h>

#include "whence/trace/trace_back.h"

#include "dry_run.h"
#include "dry_run_steps.h"

namespace whence {
namespace {

// Of a step back of such a trace.
double seconds_of_step(const RecordedSteps& recorded, const at::Tensor& queries,
                       const TraceBackOptions& options, const Communicator& world) {
  std::optional<TraceBack> sweep;
  return seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) {
          if (!sweep || sweep->done()) sweep.emplace(recorded, queries, options, world);
          sweep->step();
        }
      },
      world);
}

}  // namespace

Needs needs_of_tracing_back(const Run& run, const std::vector<std::shared_ptr<const Metric>>& metrics,
                            const TraceBackOptions& options, std::int64_t memory, const Communicator& world) {
  const RecordedSteps recorded = without_states(run);
  const at::Tensor end = run.params(run.steps());
  Stopwatch watch;
  std::vector<at::Tensor> queries;
  for (const auto& metric : metrics) queries.push_back(metric->evaluate(end, world).gradient);
  const double evaluation = watch.seconds();
  const std::int64_t steps = options.epochs_back.back() * recorded.steps_per_epoch;
  const at::Tensor all = at::stack(queries);
  TraceBackOptions plain = options, counting = options;
  plain.counted.clear();
  const double step = seconds_of_step(recorded, all, plain, world);
  double seconds_counting = 0, kept = 0;
  if (!options.counted.empty()) {
    counting.epochs_back = counting.counted = {1};
    const std::int64_t counted = options.counted.back() * recorded.steps_per_epoch;
    seconds_counting =
        static_cast<double>(counted) * (seconds_of_step(recorded, all, counting, world) - step);
    kept = crossing_bytes(recorded, options.counted.back(), world.size() / options.grid.query_groups);
  }

  const double numbers = static_cast<double>(options.kink_widths.size() * metrics.size() *
                                             options.epochs_back.size() * recorded.data.size());
  const double carried = static_cast<double>(TraceBack(recorded, all, options, world).state_numbers());
  const ReplayNeeds replay = replay_needs(run.trajectory().recorded(), run.steps() - steps,
                                          static_cast<std::int64_t>(bytes_of(run)), memory);
  Needs needs{"influence", fmt::format("{} steps back, {} to replay, {} queries, {} kink widths", steps,
                                       replay.steps, metrics.size(), options.kink_widths.size())};
  if (!options.counted.empty())
    needs.work += fmt::format(", crossings counted {} epochs back", options.counted.back());
  needs.seconds = evaluation + static_cast<double>(steps) * step + std::max(seconds_counting, 0.0);
  if (replay.steps > 0)
    needs.seconds +=
        static_cast<double>(replay.steps) * step_seconds(run.parts(), run.state(run.steps()), world, world);
  // What is carried, and saved now and then; the tables of the result as they are added up over ranks.
  needs.memory = kept + 8 * (2 * carried + numbers) + static_cast<double>(replay.states) * bytes_of(run);
  needs.disk = 8 * (numbers + 2 * carried * world.size());
  needs.folder = run.folder();
  return needs;
}

}  // namespace whence
