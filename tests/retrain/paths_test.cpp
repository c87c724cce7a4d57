// Retrained paths against retraining, and traces along them against a quadratic game in closed form.
#include "whence/retrain/paths.h"

#include <cmath>
#include <gtest/gtest.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "whence/comm/session.h"
#include "whence/game/autograd_engine.h"
#include "whence/retrain/counterfactual.h"
#include "whence/retrain/path_traces.h"
#include "whence/train/step.h"

#include "io/folder.h"
#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::normals;
using test::QuadraticGame;

constexpr std::int64_t instances = 18, batch = 5, epochs = 8, width = 3, parameters = 2 * width;
constexpr std::int64_t state_bytes = parameters * 8;
constexpr double l2 = 0.1;

MemoryRun make_run(const OptimiserOptions& optimiser = {}) {
  const auto game = std::make_shared<QuadraticGame>(width, true, l2);
  ScheduleOptions schedule{instances,           batch,        epochs, 3, Update::simultaneous,
                           Decay::inverse_sqrt, {0.05, 0.065}};
  return {game, std::make_shared<AutogradEngine>(game), normals({instances, width}, 1), schedule, optimiser};
}

std::int64_t first_use(const RecordedSteps& run, std::int64_t instance, std::int64_t epochs_back) {
  for (std::int64_t t = run.steps - epochs_back * run.steps_per_epoch; t < run.steps; ++t)
    if ((run.batch(t) == instance).any().item<bool>()) return t;
  return run.steps;
}

TEST(RetrainedPath, HasTheStatesOfRetrainingWhateverFitsIntoMemory) {
  for (const char* name : {"sgd", "momentum", "adam"}) {
    OptimiserOptions optimiser;
    optimiser.name = name;
    if (optimiser.name == "momentum") optimiser.momentum = 0.5;
    const MemoryRun run = make_run(optimiser);
    const RecordedSteps steps = run.steps();
    const std::int64_t without =
        steps.batch(steps.steps - 6 * steps.steps_per_epoch + 1)[0].item<std::int64_t>();
    const std::vector<std::vector<std::int64_t>> removals{{without}};
    const std::int64_t first = first_use(steps, without, 6), bytes = steps.state(0).nbytes();
    ASSERT_GT(steps.steps - first, 16);
    const CounterfactualBlock block{6, first, {0}};
    Retraining retraining(steps, block, removals);
    std::vector<at::Tensor> expected{retraining.state()[1].clone()};
    while (!retraining.done()) {
      retraining.advance();
      expected.push_back(retraining.state()[1].clone());
    }
    for (const std::int64_t states : {100, 13, 11}) {
      EXPECT_EQ(path_needs(steps.steps - first, bytes, states * bytes).stride > 1, states < 100);
      RetrainedPath path(steps, without, 6, states * bytes);
      while (!path.done()) path.advance();
      const RecordedSteps along = path.run();
      for (std::int64_t t = along.steps; t >= 0; --t)
        EXPECT_TRUE(along.state(t).equal(t < first ? steps.state(t) : expected[t - first])) << name << t;
    }
    EXPECT_NE(expected.back().sub(steps.state(steps.steps)).abs().max().item<double>(), 0);
  }
}

TEST(RetrainedPath, StatesThatDoNotFitAreRefused) {
  EXPECT_EQ(path_needs(100, 8, 8 * 104).stride, 1);
  EXPECT_EQ(path_needs(100, 8, 8 * 103).stride, 2);
  EXPECT_EQ(path_needs(100, 8, 8 * 23).stride, 8);
  EXPECT_NE(testing::message_of([] { path_needs(100, 8, 8 * 22); }).find("--memory"), std::string::npos);
}

TEST(RetrainedPath, InstancesAreUsedOnesAndThoseOfOneHorizonAreTheSameInAnyList) {
  const MemoryRun run = make_run();
  const auto all = instances_of_paths(run.steps(), 6, {1, 2, 4});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(instances_of_paths(run.steps(), 6, {2})[0], all[1]);
  EXPECT_EQ(instances_of_paths(run.steps(), 2, {2})[0],
            std::vector<std::int64_t>(all[1].begin(), all[1].begin() + 2));
  const std::vector<std::int64_t> horizons{1, 2, 4};
  for (std::size_t k = 0; k < 3; ++k)
    for (const std::int64_t instance : all[k])
      EXPECT_LT(first_use(run.steps(), instance, horizons[k]), run.steps().steps);
  EXPECT_NE(testing::message_of([&] { instances_of_paths(run.steps(), instances + 1, {4}); }).find("--paths"),
            std::string::npos);
}

// V = sum_i c_i theta_i^2 / 2: its gradient is another one at the end of each path.
class SquaredMetric : public Metric {
 public:
  explicit SquaredMetric(at::Tensor scale) : scale_(std::move(scale)) {}
  std::string name() const override { return "squared"; }
  at::Tensor value(const at::Tensor& params) const override { return params.square().matmul(scale_) / 2; }
  at::Tensor gradient(const at::Tensor& params, const Communicator&) const override {
    return params * scale_;
  }

 private:
  at::Tensor scale_;
};

// Not finite but at the end of the recorded run.
class BoundedAtOneEnd : public SquaredMetric {
 public:
  explicit BoundedAtOneEnd(at::Tensor end) : SquaredMetric(at::ones({parameters}, at::kDouble)), end_(end) {}
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override {
    const at::Tensor gradient = SquaredMetric::gradient(params, ranks);
    return params.equal(end_) ? gradient : gradient / 0;
  }

 private:
  at::Tensor end_;
};

// The game of support/quadratic_game.h written out: g and J [P, P] of step t, without one instance or (-1)
// with all.
struct Closed {
  at::Tensor g, j, rows;
};

Closed closed_form(const RecordedSteps& run, std::int64_t t, const at::Tensor& theta, std::int64_t without) {
  std::vector<at::Tensor> m;
  for (int i = 0; i < 4; ++i) m.push_back(normals({width, width}, 100 + i));
  const at::Tensor positions = run.batch(t), rows = run.data.instances.gather(positions);
  const at::Tensor z = training_latents(run.seed, t, {0, batch}, width, at::kDouble);
  const at::Tensor w = positions.ne(without).to(at::kDouble), a = theta.narrow(0, 0, width),
                   b = theta.narrow(0, width, width);
  Closed closed{at::empty({parameters}, at::kDouble), at::zeros({parameters, parameters}, at::kDouble), rows};
  const at::Tensor second = (m[2] + m[2].t()) / 2 + (rows.t() * w).matmul(rows) / static_cast<double>(batch);
  const at::Tensor first = (m[0] + m[0].t()) / 2;
  closed.g.narrow(0, 0, width).copy_(first.matmul(a) + m[1].matmul(b) + z.mean(0) + l2 * a);
  closed.g.narrow(0, width, width).copy_(second.matmul(b) + m[3].matmul(a) + l2 * b);
  const auto block = [&](std::int64_t i, std::int64_t k) {
    return closed.j.narrow(0, i * width, width).narrow(1, k * width, width);
  };
  block(0, 0).copy_(first);
  block(0, 1).copy_(m[1]);
  block(1, 0).copy_(m[3]);
  block(1, 1).copy_(second);
  closed.j.diagonal().add_(l2);
  return closed;
}

// Influences [N] on V = c.theta^2 / 2 along the path without an instance (-1: the recorded one), k epochs
// back.
at::Tensor traced_by_hand(const RecordedSteps& run, std::int64_t without, std::int64_t k,
                          const at::Tensor& c) {
  const std::int64_t begin = run.steps - k * run.steps_per_epoch;
  std::vector<at::Tensor> theta{run.state(begin)}, rates;
  for (std::int64_t t = begin; t < run.steps; ++t) {
    at::Tensor rate = at::empty({parameters}, at::kDouble);
    for (const Move& move : run.moves(t)) rate.narrow(0, move.begin, move.end - move.begin).fill_(move.rate);
    rates.push_back(rate);
    theta.push_back(theta.back() - rate * closed_form(run, t, theta.back(), without).g);
  }
  at::Tensor u = c * theta.back(), influence = at::zeros({run.data.size()}, at::kDouble);
  for (std::int64_t t = run.steps - 1; t >= begin; --t) {
    const at::Tensor q = u * rates[t - begin], b = theta[t - begin].narrow(0, width, width);
    const Closed all = closed_form(run, t, theta[t - begin], -1);
    const at::Tensor of_rows = all.rows.matmul(q.narrow(0, width, width)) * all.rows.matmul(b) / batch;
    influence.index_add_(0, run.batch(t), of_rows);
    u = u - q.matmul(all.j);
  }
  return influence;
}

class PathTraces : public testing::SharedFolder {
 protected:
  // The rows [n + 1, K, M, N] that these ranks make; `have`: the recorded path is known.
  at::Tensor traced(const MemoryRun& run, const std::vector<std::shared_ptr<const Metric>>& metrics,
                    const TraceBackOptions& trace, std::int64_t paths, const Communicator& ranks,
                    const std::string& name, const at::Tensor& have = {}) const {
    const RecordedSteps steps = run.steps();
    const auto without = instances_of_paths(steps, paths, trace.epochs_back);
    const StopSignals signals;
    const std::int64_t rows = path_rows(paths, trace), numbers = path_row_width(trace, 2, instances);
    BlockStore store(path(name), path_blocks_schema, {}, rows, numbers, ranks);
    const PathProgress found = trace_paths({steps,
                                            [](const RecordedSteps& same) { return same; },
                                            metrics,
                                            trace,
                                            without,
                                            100 * state_bytes,
                                            path(name),
                                            {},
                                            Unfinished::keep,
                                            store,
                                            signals},
                                           have, Log(false), ranks);
    failure_ = found.failure;
    if (!failure_.empty()) {
      EXPECT_LT(found.done, found.total);
      store.close();
      ranks.barrier();
      return {};
    }
    EXPECT_EQ(found.done, found.total);
    const at::Tensor all = store.close_and_read();
    ranks.barrier();
    store.remove();
    return all.reshape({paths + 1, static_cast<std::int64_t>(trace.epochs_back.size()), 2, instances});
  }

  mutable std::string failure_;
};

TEST_F(PathTraces, AreThoseOfTheClosedFormOnAnyRanks) {
  const MemoryRun run = make_run();
  const RecordedSteps steps = run.steps();
  const std::vector<at::Tensor> scales{normals({parameters}, 2), normals({parameters}, 5)};
  const std::vector<std::shared_ptr<const Metric>> metrics{std::make_shared<SquaredMetric>(scales[0]),
                                                           std::make_shared<SquaredMetric>(scales[1])};
  const TraceBackOptions trace{{1, 3}, {0.0}, {1}};
  const at::Tensor rows = traced(run, metrics, trace, 3, world_, "shared.h5");
  const auto without = instances_of_paths(steps, 3, trace.epochs_back);
  for (std::int64_t k = 0; k < 2; ++k)
    for (std::int64_t p = 0; p <= 3; ++p)
      for (std::int64_t m = 0; m < 2; ++m) {
        const at::Tensor expected =
            traced_by_hand(steps, p == 0 ? -1 : without[k][p - 1], trace.epochs_back[k], scales[m]);
        ASSERT_GT(expected.abs().max().item<double>(), 1e-4);
        EXPECT_LT(test::relative_difference(rows[p][k][m], expected), 1e-12) << "path " << p;
        if (p == 0) continue;
        EXPECT_GT(test::relative_difference(rows[p][k][m], rows[0][k][m]), 1e-5);
      }
  // The same bits by each rank alone, who knows the recorded path by its own trace.
  const Communicator alone(MPI_COMM_SELF);
  const at::Tensor queries = evaluate_all(metrics, steps.state(steps.steps), alone, [](double) {}).gradients;
  const at::Tensor have = trace_back(steps, queries, trace, alone, [](std::int64_t) {});
  const std::string own = "alone" + std::to_string(world_.rank()) + ".h5";
  EXPECT_TRUE(traced(run, metrics, trace, 3, alone, own, have).equal(rows));
}

TEST_F(PathTraces, APathThatIsNotFiniteIsNamed) {
  const MemoryRun run = make_run();
  const RecordedSteps steps = run.steps();
  const std::vector<std::shared_ptr<const Metric>> metrics{
      std::make_shared<SquaredMetric>(normals({parameters}, 2)),
      std::make_shared<BoundedAtOneEnd>(steps.state(steps.steps))};
  const TraceBackOptions trace{{2}, {0.0}, {1}};
  traced(run, metrics, trace, 1, world_, "bad.h5");
  const auto without = instances_of_paths(steps, 1, trace.epochs_back)[0][0];
  EXPECT_EQ(
      failure_.rfind(fmt::format("along the path without instance {}: trace-back of query 1", without), 0), 0)
      << failure_;
}

TEST_F(PathTraces, TheSpreadIsTheStandardDeviation) {
  const at::Tensor traces = normals({4, 7}, 9);
  for (std::int64_t j = 0; j < 7; ++j) {
    double mean = 0, squares = 0;
    for (std::int64_t p = 0; p < 4; ++p) mean += traces[p][j].item<double>() / 4;
    for (std::int64_t p = 0; p < 4; ++p) squares += std::pow(traces[p][j].item<double>() - mean, 2);
    EXPECT_NEAR(spread_of(traces)[j].item<double>(), std::sqrt(squares / 3), 1e-14);
  }
  EXPECT_LT(test::relative_difference(spread_of(traces * 1e200), spread_of(traces) * 1e200), 1e-14);
  EXPECT_EQ(spread_of(at::zeros({3, 2}, at::kDouble)).abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace whence
