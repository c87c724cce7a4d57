#include "steps.h"

#include <algorithm>
#include <benchmark/benchmark.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/metric/metric.h"
#include "whence/optimise/sgd.h"
#include "whence/retrain/counterfactual.h"
#include "whence/train/step.h"

#include "one_by_one.h"

namespace whence::bench {
namespace {

// One trace to measure: so many queries, this kink width.
struct TraceCase {
  std::int64_t queries;
  const char* kink_width;
};
constexpr TraceCase trace_cases[] = {{1, "0"}, {1, "1e-3"}, {8, "0"}, {8, "1e-3"}};
constexpr std::int64_t replica_counts[] = {1, 32, 200};
constexpr std::int64_t replayed_steps = 5;
constexpr std::int64_t held_out_counts[] = {1000, 10000};

// A step in the middle of the epoch.
std::int64_t middle(const TrainedEpoch& epoch) { return epoch.steps() / 2; }

// Directions [Q, P]; which ones does not change the work.
at::Tensor directions(const TrainedEpoch& epoch, std::int64_t queries) {
  at::Tensor u = at::empty({queries, epoch.params(0).size(0)}, at::kDouble);
  RandomStream(1, Purpose::targets).normal(0, u.data_ptr<double>(), u.numel());
  return u;
}

void training_step(benchmark::State& state, const TrainedEpoch& epoch) {
  const RunParts& parts = epoch.parts();
  const Batch batch = epoch.batch(middle(epoch));
  const std::int64_t t = middle(epoch);
  const Moves moves = parts.schedule.moves(t, parts.schedule.rates(t), parts.game->layout());
  at::Tensor params = epoch.params(middle(epoch)).unsqueeze(0).clone();
  const at::Tensor everyone = at::ones({1, batch.instances.size(0)}, params.options());
  const Sgd sgd;
  for (auto _ : state) sgd.update(params, parts.engine->gradient(params, batch, everyone), moves);
  state.counters["units"] = 1;
}

// The same with all that the loop does around it: mini-batch, latents, rates, check of the gradient.
void training_loop(benchmark::State& state, const TrainedEpoch& epoch) {
  const std::int64_t first = middle(epoch);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        train(epoch.parts().training(), epoch.params(first), first, first + replayed_steps,
              Communicator(MPI_COMM_SELF),
              [](std::int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&) {}));
  state.counters["units"] = replayed_steps;
}

void trace_step(benchmark::State& state, const TrainedEpoch& epoch, TraceCase which, bool one_by_one) {
  const Batch batch = epoch.batch(middle(epoch));
  const at::Tensor params = epoch.params(middle(epoch)), u = directions(epoch, which.queries);
  const double width = std::stod(which.kink_width);
  for (auto _ : state)
    benchmark::DoNotOptimize(one_by_one ? trace_one_by_one(epoch.game(), params, batch, u, width)
                                        : epoch.parts().engine->trace(params, batch, u, width));
  state.counters["units"] = 1;
}

// The last steps of the epoch again, as `whence counterfactual` takes them, without any metric.
void replica_steps(benchmark::State& state, const TrainedEpoch& epoch, std::int64_t replicas) {
  const RecordedSteps recorded = epoch.recorded();
  CounterfactualBlock block{1, epoch.steps() - replayed_steps, {}};
  std::vector<std::vector<std::int64_t>> removals;
  for (std::int64_t i = 0; i + 1 < replicas; ++i) {
    const std::int64_t batch_size = epoch.parts().settings.schedule.batch;
    const at::Tensor positions = recorded.batch(block.first_step + i / batch_size);
    removals.push_back({positions[i % batch_size].item<std::int64_t>()});
    block.removals.push_back(i);
  }
  for (auto _ : state) benchmark::DoNotOptimize(retrain(recorded, block, removals, {}, [] {}));
  state.counters["units"] = static_cast<double>(replayed_steps * replicas);
}

// ALL of one replica, as a counterfactual ends with it: N'^2 kernels.
void metric_value(benchmark::State& state, const TrainedEpoch& epoch, std::int64_t held_out) {
  const at::Tensor points = at::empty({held_out, 2}, at::kDouble);
  RandomStream(2, Purpose::targets).normal(0, points.data_ptr<double>(), points.numel());
  const Validation validation{points,
                              validation_latents(3, held_out, epoch.game().latent_size(), at::kDouble)};
  const auto metric = make_metrics({"all"}, epoch.parts().game, validation).front();
  const at::Tensor params = epoch.params(middle(epoch)).unsqueeze(0);
  for (auto _ : state) benchmark::DoNotOptimize(metric->value(params));
  state.counters["units"] = 1;
}

std::string name_of(const std::string& what, TraceCase which) {
  return fmt::format("{}/queries:{}/kink:{}", what, which.queries, which.kink_width);
}

template <typename Function>
void add(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(), function)->Unit(benchmark::kMicrosecond);
}

}  // namespace

double check_same_numbers(const TrainedEpoch& epoch) {
  constexpr double allowed = 1e-10;
  const std::int64_t t = middle(epoch);
  double worst = 0;
  for (const TraceCase which : trace_cases) {
    const at::Tensor u = directions(epoch, which.queries);
    const double width = std::stod(which.kink_width);
    const TracedStep at_once = epoch.parts().engine->trace(epoch.params(t), epoch.batch(t), u, width);
    const TracedStep single = trace_one_by_one(epoch.game(), epoch.params(t), epoch.batch(t), u, width);
    const double difference = relative_difference(at_once, single);
    if (!(difference <= allowed))
      fail("{}: differs from one backward pass an instance by {:.1e}", name_of("trace", which), difference);
    worst = std::max(worst, difference);
  }
  return worst;
}

void register_steps(const TrainedEpoch& epoch) {
  add("train/step", [&epoch](benchmark::State& state) { training_step(state, epoch); });
  add("train/loop", [&epoch](benchmark::State& state) { training_loop(state, epoch); });
  for (const TraceCase which : trace_cases) {
    add(name_of("trace", which),
        [&epoch, which](benchmark::State& state) { trace_step(state, epoch, which, false); });
    add(name_of("one_by_one", which),
        [&epoch, which](benchmark::State& state) { trace_step(state, epoch, which, true); });
  }
  for (const std::int64_t replicas : replica_counts)
    add(fmt::format("replicas:{}", replicas),
        [&epoch, replicas](benchmark::State& state) { replica_steps(state, epoch, replicas); });
  for (const std::int64_t held_out : held_out_counts)
    add(fmt::format("all:{}", held_out),
        [&epoch, held_out](benchmark::State& state) { metric_value(state, epoch, held_out); });
}

}  // namespace whence::bench
