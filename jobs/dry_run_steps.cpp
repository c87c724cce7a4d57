// What the jobs that take a game's steps would need.

#include "dry_run_steps.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "whence/train/trajectory/writer.h"

#include "dry_run.h"
#include "metric_classifier.h"

namespace whence {

double bytes_of(const Run& run) {
  const double element = run.parts().game->dtype() == at::kFloat ? 4 : 8;
  return element * static_cast<double>(run.trajectory().parameters());
}

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
  const double element = plan.dtype == at::kFloat ? 4 : 8;
  if (world.size() > 1) needs.traffic = element * static_cast<double>(parts.game->layout().size());
  needs.disk = static_cast<double>(plan.bytes());
  needs.folder = folder;
  needs.advice = "--record auto, last:EPOCHS, every:STEPS or checkpoints:NUMBER keeps fewer steps";
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
