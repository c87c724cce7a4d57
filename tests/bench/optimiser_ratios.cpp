#include "optimiser_ratios.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "whence/core/random.h"
#include "whence/game/dcgan.h"
#include "whence/game/fcgan.h"
#include "whence/game/native_engine.h"
#include "whence/trace/trace_back.h"
#include "whence/train/loop.h"

namespace whence::bench {
namespace {

constexpr std::int64_t instances = 1000, batch = 100, steps = 30;

at::Tensor normals(std::vector<std::int64_t> shape, std::uint32_t step, at::ScalarType dtype) {
  at::Tensor values = at::empty(shape, at::kDouble);
  RandomStream(1, Purpose::targets, step).normal(0, values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

// CPU time of this thread: waiting for a processor does not count.
double milliseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

struct Case {
  std::string name;
  std::shared_ptr<const Optimiser> optimiser;
  std::vector<at::Tensor> states = {};
  double training = 1e300, trace = 1e300;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  OptimiserOptions options;
  for (const std::string& name : optimiser_names()) {
    options.name = name;
    options.momentum = name == "momentum" ? 0.9 : 0;
    all.push_back({name, make_optimiser(options)});
  }
  options.name = "adam";
  options.clip_norm = 1;
  all.push_back({"adam, clipped", make_optimiser(options)});
  options.clip_norm = 0;
  options.average = 0.999;
  all.push_back({"adam, averaged", make_optimiser(options)});
  return all;
}

void take_turn(Case& one, const Game& game, const Engine& engine, const Dataset& data,
               const Schedule& schedule) {
  const Communicator self(MPI_COMM_SELF);
  const at::Tensor start = one.optimiser->initial_state(game.initial_parameters(1).unsqueeze(0))[0];
  const Training training{game, engine, data, schedule, *one.optimiser, 1};
  // Keeping states is recording's cost, so the steps that are timed keep none.
  double begin = milliseconds();
  train(training, start, 0, steps, self,
        [](std::int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&) {});
  one.training = std::min(one.training, (milliseconds() - begin) / steps);
  std::vector<at::Tensor> states;
  states.push_back(train(training, start, 0, steps, self,
                         [&](std::int64_t, const at::Tensor& state, const at::Tensor&, const at::Tensor&) {
                           states.push_back(state.clone());
                         }));

  const RecordedSteps run{game,
                          engine,
                          data,
                          1,
                          steps,
                          steps,
                          [&](std::int64_t t) { return states[t]; },
                          [&](std::int64_t t) { return schedule.batch(t); },
                          [&](std::int64_t t) { return schedule.moves(t, schedule.rates(t), game.layout()); },
                          *one.optimiser};
  const at::Tensor query = normals({1, game.layout().size()}, 3, game.dtype());
  TraceBack sweep(run, query, {{1}, {0.0}, {1}}, self);
  begin = milliseconds();
  while (!sweep.done()) sweep.step();
  one.trace = std::min(one.trace, (milliseconds() - begin) / steps);
}

void print_ratios(const char* name, const std::shared_ptr<const Game>& game, at::Tensor points,
                  std::int64_t turns) {
  const NativeEngine engine(game);
  Dataset data;
  data.instances = std::move(points);
  for (std::int64_t i = 0; i < instances; ++i) data.ids.push_back(i);
  const ScheduleOptions options{instances, batch, 3, 1, Update::simultaneous, Decay::constant, {1e-3, 1e-3}};
  const Schedule schedule(options);
  std::vector<Case> all = cases();
  for (std::int64_t turn = 0; turn < turns; ++turn)
    for (Case& one : all) take_turn(one, *game, engine, data, schedule);
  for (const Case& one : all)
    fmt::print("{:10} {:16} {:10.4f} {:7.2f} {:10.4f} {:7.2f}\n", name, one.name, one.training,
               one.training / all.front().training, one.trace, one.trace / all.front().trace);
  std::fflush(stdout);
}

}  // namespace

void print_optimiser_ratios(std::int64_t turns) {
  at::set_num_threads(1);
  fmt::print("{:10} {:16} {:>10} {:>7} {:>10} {:>7}\n", "", "", "train, ms", "ratio", "trace, ms", "ratio");
  print_ratios("FCGAN",
               std::make_shared<Fcgan>(FcganOptions{
                   2, 10, {32, 32}, {64, 64}, Activation::relu, Activation::linear, false, 0, at::kDouble}),
               normals({instances, 2}, 1, at::kDouble), turns);
  print_ratios("DCGAN", std::make_shared<Dcgan>(DcganOptions{32, 8, 1e-3, at::kDouble}),
               normals({instances, 784}, 2, at::kDouble).clamp(-1, 1), turns);
}

}  // namespace whence::bench
