#include "whence/train/recorded_steps.h"

namespace whence {

RecordedSteps recorded_steps_of(const Run& run) {
  const RunParts& parts = run.parts();
  return {*parts.game,
          *parts.engine,
          parts.training_data,
          parts.settings.seed,
          run.steps(),
          parts.schedule.steps_per_epoch(),
          [&run](std::int64_t t) { return run.state(t); },
          [&run](std::int64_t t) { return run.trajectory().batch(t); },
          [&run](std::int64_t t) {
            const RunParts& parts = run.parts();
            return parts.schedule.moves(t, run.trajectory().rates(t), parts.game->layout());
          },
          *parts.optimiser,
          [&run](std::int64_t t) { run.expect(t); }};
}

}  // namespace whence
