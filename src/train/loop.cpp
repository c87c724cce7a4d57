#include "whence/train/loop.h"

#include <ATen/ops/ones.h>

#include "whence/comm/partition.h"
#include "whence/train/finite_watch.h"
#include "whence/train/step.h"

namespace whence {

at::Tensor train(const Training& training, at::Tensor state, std::int64_t first, std::int64_t last,
                 const Communicator& ranks, const StepObserver& observe, Watch watch) {
  const ParameterLayout& layout = training.game.layout();
  const Range rows = part_of(training.schedule.options().batch, ranks.size(), ranks.rank());
  const at::Tensor everyone_present = at::ones({1, rows.size()}, state.options());
  const auto name = [](std::int64_t) { return "the training run"; };
  FiniteWatch gradients = watch_players("the gradient", layout, name);
  at::Tensor moving = state.clone().unsqueeze(0);
  const at::Tensor theta = moving.narrow(1, 0, layout.size());

  for (std::int64_t t = first; t < last; ++t) {
    const at::Tensor positions = training.schedule.batch(t), rates = training.schedule.rates(t);
    observe(t, moving[0], positions, rates);

    const Batch batch = make_batch(training.data, positions, training.seed, t, rows, training.game);
    at::Tensor gradient = training.engine.gradient(theta, batch, everyone_present);
    ranks.sum(gradient);
    if ((t + 1 - first) % FiniteWatch::patience == 0 || (watch == Watch::on && t + 1 == last))
      ranks.wait_for_device();
    if (watch == Watch::on) gradients.see(gradient, t);
    training.optimiser.update(moving, gradient, training.schedule.moves(t, rates, layout));
  }
  if (watch == Watch::off) return moving[0];
  gradients.check();
  FiniteWatch end = watch_players("the parameter vector", layout, name);
  end.see(theta.contiguous(), last);
  end.check();
  return moving[0];
}

}  // namespace whence
