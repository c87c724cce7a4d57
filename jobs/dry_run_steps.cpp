// What the jobs that take a game's steps would need.

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include <ATen/ops/stack.h>

#include "whence/trace/trace_back.h"
#include "whence/train/trajectory/writer.h"

#include "dry_run.h"
#include "metric_classifier.h"

namespace whence {
namespace {

double bytes_of(const Run& run) {
  const double element = run.parts().game->dtype() == at::kFloat ? 4 : 8;
  return element * static_cast<double>(run.trajectory().parameters());
}

// The recorded steps with the end of the run in place of every state: as much work, and nothing to replay.
RecordedSteps without_states(const Run& run) {
  RecordedSteps steps = recorded_steps_of(run);
  const at::Tensor end = run.state(run.steps());
  steps.state = [end](std::int64_t) { return end; };
  steps.expect = {};
  return steps;
}

double step_seconds(const RunParts& parts, const at::Tensor& state, const Communicator& ranks,
                    const Communicator& world) {
  const std::int64_t most = parts.schedule.steps();
  return seconds_each(
      [&](std::int64_t count) {
        for (std::int64_t left = count; left > 0; left -= most)
          train(parts.training(), state, 0, std::min(left, most), ranks,
                [](std::int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&) {});
      },
      world);
}

}  // namespace

Needs needs_of_training(const RunParts& parts, const std::string& folder, const Communicator& world) {
  const TrajectoryPlan plan = parts.plan();
  const at::Tensor start = parts.initial_state();
  Stopwatch watch;
  accuracy_report(parts, parts.optimiser->model(start));
  const double at_the_end = watch.seconds();
  Needs needs{"train",
              fmt::format("{} steps of {} numbers ({}: {} a state), {} of them recorded (--record {})",
                          plan.steps, plan.parameters, fmt::join(parts.optimiser->parts(), ", "),
                          human_bytes(static_cast<double>(start.nbytes())), plan.recorded.size(),
                          parts.settings.record)};
  needs.seconds = at_the_end + static_cast<double>(plan.steps) * step_seconds(parts, start, world, world);
  needs.memory = static_cast<double>(TrajectoryWriter::memory(plan, world.size(), parts.device));
  needs.disk = static_cast<double>(plan.bytes());
  needs.folder = folder;
  needs.advice = "--record auto, last:EPOCHS, every:STEPS or checkpoints:NUMBER keeps fewer steps";
  return needs;
}

Needs needs_of_tracing_back(const Run& run, const std::vector<std::shared_ptr<const Metric>>& metrics,
                            const TraceBackOptions& options, std::int64_t memory, const Communicator& world) {
  const RecordedSteps recorded = without_states(run);
  const at::Tensor end = run.params(run.steps());
  Stopwatch watch;
  std::vector<at::Tensor> queries;
  for (const auto& metric : metrics) queries.push_back(metric->evaluate(end, world).gradient);
  const double evaluation = watch.seconds();
  const std::int64_t steps = options.epochs_back.back() * recorded.steps_per_epoch;
  std::optional<TraceBack> sweep;
  const double step = seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) {
          if (!sweep || sweep->done()) sweep.emplace(recorded, at::stack(queries), options, world);
          sweep->step();
        }
      },
      world);

  const double numbers = static_cast<double>(options.kink_widths.size() * metrics.size() *
                                             options.epochs_back.size() * recorded.data.size());
  const double carried = static_cast<double>(sweep->state_numbers());
  const ReplayNeeds replay = replay_needs(run.trajectory().recorded(), run.steps() - steps,
                                          static_cast<std::int64_t>(bytes_of(run)), memory);
  Needs needs{"influence", fmt::format("{} steps back, {} to replay, {} queries, {} kink widths", steps,
                                       replay.steps, metrics.size(), options.kink_widths.size())};
  needs.seconds = evaluation + static_cast<double>(steps) * step;
  if (replay.steps > 0)
    needs.seconds +=
        static_cast<double>(replay.steps) * step_seconds(run.parts(), run.state(run.steps()), world, world);
  // What is carried, and saved now and then; the tables of the result as they are added up over ranks.
  needs.memory = 8 * (2 * carried + numbers) + static_cast<double>(replay.states) * bytes_of(run);
  needs.disk = 8 * (numbers + 2 * carried * world.size());
  needs.folder = run.folder();
  return needs;
}

Needs needs_of_retraining(const std::string& job, const Run& run,
                          const std::vector<CounterfactualBlock>& blocks,
                          const std::vector<std::vector<std::int64_t>>& removals, std::int64_t row_numbers,
                          const std::function<at::Tensor(const Retraining&)>& row,
                          const Communicator& world) {
  const RecordedSteps recorded = without_states(run);
  double replica_steps = 0, replicas = 0, longest = 0;
  std::size_t widest = 0;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto size = static_cast<double>(blocks[b].removals.size() + 1);
    const double own = size * static_cast<double>(run.steps() - blocks[b].first_step);
    replica_steps += own;
    replicas += size;
    longest = std::max(longest, own);
    if (blocks[b].removals.size() > blocks[widest].removals.size()) widest = b;
  }
  CounterfactualBlock all = blocks[widest];
  all.first_step = std::min(all.first_step, run.steps() - 1);
  std::optional<Retraining> block;
  const double step = seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) {
          if (!block || block->done()) block.emplace(recorded, all, removals);
          block->advance();
        }
      },
      world);
  const double size = static_cast<double>(block->replicas()), state_bytes = bytes_of(run);
  block.reset();
  const CounterfactualBlock one{all.epochs_back, run.steps(), {all.removals.front()}};
  Stopwatch watch;
  row(Retraining(recorded, one, removals));
  const double judged = world.max(watch.seconds()) / 2;

  Needs needs{job, fmt::format("{} blocks of up to {} replicas, {:.0f} steps of a replica", blocks.size(),
                               size, replica_steps)};
  const double each = step / size;
  needs.seconds =
      std::max((replica_steps * each + replicas * judged) / world.size(), longest * each + size * judged);
  const double rows = 8.0 * static_cast<double>(row_numbers) * static_cast<double>(blocks.size());
  // A block's states as they are saved when the job is asked to stop; all rows, and the result made of them.
  needs.memory = size * state_bytes + 2 * rows;
  needs.disk = 2 * rows + size * state_bytes * world.size();
  needs.folder = run.folder();
  return needs;
}

}  // namespace whence
