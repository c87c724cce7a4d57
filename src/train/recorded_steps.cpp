#include "whence/train/recorded_steps.h"

#include "whence/optimise/sgd.h"
#include "whence/train/step.h"

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

std::vector<std::int64_t> first_uses(const RecordedSteps& run, std::int64_t begin) {
  std::vector<std::int64_t> first(run.data.size(), run.steps);
  for (std::int64_t t = run.steps - 1; t >= begin; --t) {
    const at::Tensor positions = run.batch(t);
    const std::int64_t* position = positions.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < positions.numel(); ++i) first[position[i]] = t;
  }
  return first;
}

std::vector<std::int64_t> used_from(const RecordedSteps& run, std::int64_t begin,
                                    const std::vector<std::int64_t>& order, std::int64_t most) {
  const auto first = first_uses(run, begin);
  std::vector<std::int64_t> used;
  for (std::size_t i = 0; i < order.size() && static_cast<std::int64_t>(used.size()) < most; ++i)
    if (first[order[i]] < run.steps) used.push_back(order[i]);
  return used;
}

Batch batch_of_step(const RecordedSteps& run, std::int64_t t) {
  const at::Tensor positions = run.batch(t);
  return make_batch(run.data, positions, run.seed, t, {0, positions.size(0)}, run.game);
}

at::Tensor take_again(const RecordedSteps& run, at::Tensor& state, std::int64_t t,
                      const at::Tensor& weights) {
  const at::Tensor theta = run.optimiser.part(state, 0);
  const at::Tensor gradient =
      run.engine.gradient(theta, batch_of_step(run, t),
                          weights.to(theta.scalar_type()).to(theta.device(), /*non_blocking=*/true));
  run.optimiser.update(state, gradient, run.moves(t));
  return gradient;
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
