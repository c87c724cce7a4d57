#pragma once
// A training run recorded in memory, for tests of what follows from it.

#include <memory>
#include <vector>

#include "whence/optimise/optimiser.h"
#include "whence/trace/trace_back.h"
#include "whence/train/loop.h"

namespace whence::test {

struct MemoryRun {
  std::shared_ptr<const Game> game;
  std::shared_ptr<const Engine> engine;
  Dataset data;
  Schedule schedule;
  std::shared_ptr<const Optimiser> chosen;
  const Optimiser& optimiser = *chosen;
  std::uint64_t seed = 3;
  std::vector<at::Tensor> params;  // the state before each step (of sgd: theta), and at the end

  MemoryRun(std::shared_ptr<const Game> a_game, std::shared_ptr<const Engine> an_engine, at::Tensor instances,
            const ScheduleOptions& options, const OptimiserOptions& of_optimiser = {})
      : game(std::move(a_game)),
        engine(std::move(an_engine)),
        schedule(options),
        chosen(make_optimiser(of_optimiser)) {
    data.instances = std::move(instances);
    for (std::int64_t i = 0; i < data.instances.size(); ++i) data.ids.push_back(i);
    const at::Tensor end = train({*game, *engine, data, schedule, optimiser, seed},
                                 optimiser.initial_state(game->initial_parameters(seed).unsqueeze(0))[0], 0,
                                 schedule.steps(), Communicator(MPI_COMM_SELF),
                                 [this](std::int64_t, const at::Tensor& theta, const at::Tensor&,
                                        const at::Tensor&) { params.push_back(theta.clone()); });
    params.push_back(end);
  }

  RecordedSteps steps() const {
    return {*game,
            *engine,
            data,
            seed,
            schedule.steps(),
            schedule.steps_per_epoch(),
            [this](std::int64_t t) { return params[t]; },
            [this](std::int64_t t) { return schedule.batch(t); },
            [this](std::int64_t t) { return schedule.moves(t, schedule.rates(t), game->layout()); },
            optimiser};
  }
};

}  // namespace whence::test
