#include "whence/train/recorded_steps.h"

#include "whence/optimise/sgd.h"

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

RecordedSteps as_plain_steps(const RecordedSteps& run) {
  static const Sgd plain;
  return {run.game,
          run.engine,
          run.data,
          run.seed,
          run.steps,
          run.steps_per_epoch,
          [state = run.state, &own = run.optimiser](std::int64_t t) { return own.part(state(t), 0); },
          run.batch,
          run.moves,
          plain,
          run.expect};
}

}  // namespace whence
