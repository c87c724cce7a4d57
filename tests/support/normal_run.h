#pragma once
// A short run of any game on normal points.

#include <memory>
#include <utility>

#include "whence/game/autograd_engine.h"

#include "support/memory_run.h"
#include "support/numbers.h"

namespace whence::test {

struct NormalRunOptions {
  std::int64_t instances, batch, epochs;
  std::int64_t width;  // of a point; over 3: numbers of pixels, from 0 to 1
  double rate;         // of every player
  OptimiserOptions optimiser = {};
};

inline MemoryRun normal_run(const std::shared_ptr<const Game>& game, const NormalRunOptions& options) {
  ScheduleOptions schedule{};
  schedule.instances = options.instances;
  schedule.batch = options.batch;
  schedule.epochs = options.epochs;
  schedule.seed = 3;
  schedule.rates.assign(game->layout().player_count(), options.rate);
  at::Tensor x = normals({options.instances, options.width}, 1).to(game->dtype());
  if (options.width > 3) x = x.sigmoid();
  return {game, std::make_shared<AutogradEngine>(game), x, schedule, options.optimiser};
}

}  // namespace whence::test
