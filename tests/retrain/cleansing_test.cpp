// Selections, the isolation forest, and cleansing against retraining written out.
#include "whence/retrain/cleansing.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <set>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/optimise/adam.h"
#include "whence/retrain/isolation_forest.h"
#include "whence/retrain/selection.h"
#include "whence/train/step.h"

#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::normals;
using test::QuadraticGame;
using Sets = std::vector<std::vector<std::int64_t>>;

TEST(Selection, NamesAreRead) {
  const auto selections = parse_selections("influence:all,disc-loss,isolation-forest,random");
  ASSERT_EQ(selections.size(), 4u);
  EXPECT_EQ(selections[0].metric, "all");
  EXPECT_EQ(selections[1].name, "influence:disc-loss");
  EXPECT_EQ(selections[2].kind, Selection::Kind::isolation_forest);
  EXPECT_TRUE(needs_influence(selections));
  EXPECT_FALSE(needs_influence(parse_selections("random")));
  for (const char* bad : {"influence", "influence:", "influence:accuracy", "all", "random,random",
                          "disc-loss,influence:disc-loss", ""})
    EXPECT_THROW(parse_selections(bad), UsageError) << bad;
}

TEST(Selection, HarmIsWhatRemovalImproves) {
  InfluenceEstimates estimates{{"all", "fid"}, {0.0}, {1, 2}, {7, 8, 9}, at::Tensor(), at::Tensor()};
  estimates.influence = normals({1, 2, 2, 3}, 1);
  const HarmSources sources{&estimates, 2, normals({3, 2}, 2), 5};
  EXPECT_TRUE(harm_of({"", Selection::Kind::influence, "all"}, sources).equal(estimates.influence[0][0][1]));
  EXPECT_TRUE(harm_of({"", Selection::Kind::influence, "fid"}, sources).equal(-estimates.influence[0][1][1]));
  EXPECT_THROW(harm_of({"", Selection::Kind::influence, "is"}, sources), Error);
  EXPECT_THROW(harm_of({"", Selection::Kind::influence, "all"}, {&estimates, 3, normals({3, 2}, 2), 5}),
               Error);
  const at::Tensor random = harm_of({"", Selection::Kind::random, ""}, sources);
  EXPECT_TRUE(random.equal(harm_of({"", Selection::Kind::random, ""}, sources)));
  EXPECT_FALSE(random.equal(harm_of({"", Selection::Kind::random, ""}, {nullptr, 1, normals({3, 2}, 2), 6})));
}

TEST(Selection, MostHarmfulFirstWithEqualOnesInOrder) {
  EXPECT_EQ(most_harmful_first(at::tensor({0.5, 2.0, -1.0, 2.0}, at::kDouble)),
            (std::vector<std::int64_t>{1, 3, 0, 2}));
  EXPECT_THROW(most_harmful_first(at::tensor({0.0, std::numeric_limits<double>::quiet_NaN()}, at::kDouble)),
               Error);
}

TEST(IsolationForest, FindsPlantedOutliersAndIsTheSameEachTime) {
  at::Tensor points = normals({600, 2}, 3);
  points.narrow(0, 0, 12).mul_(0.1).add_(at::tensor({7.0, -7.0}, at::kDouble));
  const at::Tensor scores = isolation_scores(points, {100, 256, 4});
  EXPECT_TRUE(scores.equal(isolation_scores(points, {100, 256, 4})));
  EXPECT_FALSE(scores.equal(isolation_scores(points, {100, 256, 5})));
  const auto order = most_harmful_first(scores);
  std::set<std::int64_t> first(order.begin(), order.begin() + 12);
  EXPECT_EQ(*first.rbegin(), 11);
  EXPECT_GT(scores.min().item<double>(), 0);
  EXPECT_LT(scores.max().item<double>(), 1);
}

// Known by hand: two points are always separated at depth 1, so E(h) = 1 = c(2) and the score is 1/2; equal
// points cannot be separated, h = c(n) and the score is 1/2 too.
// Two places with many points each: the first split parts them, and nothing parts the points of one place, so
// every point's depth is 1 + c(the sampled ones at its place), half of the samples but for chance. The score
// then tells the number of samples: .5131 for 256, .5149 for 128 and .5117 for 512.
TEST(IsolationForest, TwoPlacesTellTheNumberOfSamples) {
  const auto c = [](double n) {
    double harmonic = 0;
    for (int i = 1; i < n; ++i) harmonic += 1.0 / i;
    return 2 * harmonic - 2 * (n - 1) / n;
  };
  const at::Tensor points = at::cat({at::zeros({2000, 2}, at::kDouble), at::ones({2000, 2}, at::kDouble)});
  const at::Tensor scores = isolation_scores(points, {100, 256, 3});
  const double expected = std::exp2(-(1 + c(128)) / c(256));
  EXPECT_NEAR(scores.mean().item<double>(), expected, 2e-4);
}

TEST(IsolationForest, ScoresOfTinySetsAreKnown) {
  const at::Tensor two = isolation_scores(at::tensor({0.0, 1.0}, at::kDouble).reshape({2, 1}), {10, 256, 0});
  EXPECT_NEAR(two[0].item<double>(), 0.5, 1e-15);
  const at::Tensor equal = isolation_scores(at::ones({9, 3}, at::kDouble), {10, 256, 0});
  EXPECT_NEAR(equal[4].item<double>(), 0.5, 1e-15);
  EXPECT_THROW(isolation_scores(at::ones({1, 3}, at::kDouble), {}), Error);
  at::Tensor bad = normals({5, 2}, 1);
  bad[3][1] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(isolation_scores(bad, {}), Error);
}

class SumOfParameters : public Metric {
 public:
  std::string name() const override { return "sum"; }
  at::Tensor value(const at::Tensor& params) const override { return params.sum(1); }
  at::Tensor gradient(const at::Tensor& params, const Communicator&) const override { return params; }
};

MemoryRun make_run() {
  const auto game = std::make_shared<QuadraticGame>(3, true, 0.1);
  const ScheduleOptions schedule{18, 5, 4, 3, Update::simultaneous, Decay::constant, {0.05, 0.04}};
  return {game, std::make_shared<AutogradEngine>(game), normals({18, 3}, 1), schedule};
}

// The last epochs again, one set at a time, weights written out.
at::Tensor plainly_retrained(const MemoryRun& run, const std::vector<std::int64_t>& removed,
                             std::int64_t first) {
  at::Tensor theta = run.params[first].clone().unsqueeze(0);
  for (std::int64_t t = first; t < run.schedule.steps(); ++t) {
    const at::Tensor positions = run.schedule.batch(t);
    at::Tensor weights = at::ones({1, 5}, at::kDouble);
    for (std::int64_t i = 0; i < 5; ++i)
      if (std::count(removed.begin(), removed.end(), positions[i].item<std::int64_t>()) > 0)
        weights[0][i] = 0;
    const Batch batch = make_batch(run.data, positions, run.seed, t, {0, 5}, *run.game);
    theta = theta - run.engine->gradient(theta, batch, weights) *
                        run.game->layout().spread(run.schedule.rates(t), at::kDouble);
  }
  return theta[0];
}

TEST(Cleansing, EverySetIsRetrainedOnItsOwn) {
  const MemoryRun run = make_run();
  const Sets orders{{4, 2, 9, 0, 1, 3}, {17, 16, 15, 14, 13, 12}};
  const Sets sets = removal_sets(orders, {1, 3, 5});
  ASSERT_EQ(sets.size(), 6u);
  EXPECT_EQ(sets[4], (std::vector<std::int64_t>{17, 16, 15}));
  const std::vector<std::shared_ptr<const Metric>> metrics{std::make_shared<SumOfParameters>()};
  const std::int64_t first = run.schedule.steps() - 2 * run.schedule.steps_per_epoch();
  const RecordedSteps recorded = run.steps();
  const auto blocks = plan_counterfactuals(starts_of(recorded, sets, {2}, 32), 4);
  std::vector<at::Tensor> rows;
  for (const auto& block : blocks) {
    Retraining retraining(recorded, block, sets);
    while (!retraining.done()) retraining.advance();
    rows.push_back(cleansed_row(retraining, *run.game, metrics, at::Tensor(), cleansed_row_width(4, 1, 0)));
  }
  Cleansing result;
  result.selections = {"a", "b"};
  result.metrics = {"sum"};
  result.remove = {1, 3, 5};
  assemble(result, blocks, at::stack(rows), 0, 0);
  EXPECT_NEAR(result.baseline[0].item<double>(), run.params.back().sum().item<double>(), 1e-14);
  for (std::int64_t s = 0; s < 2; ++s)
    for (std::int64_t h = 0; h < 3; ++h) {
      const double expected = plainly_retrained(run, sets[3 * s + h], first).sum().item<double>();
      EXPECT_NEAR(result.value[s][h][0].item<double>(), expected, 1e-13);
      EXPECT_GT(std::abs(expected - result.baseline[0].item<double>()), 1e-9);
    }
}

// Adam's state written out by scalars; counterfactuals go on from it.
TEST(Adam, StepsAndCounterfactualsFollowTheAlgorithm) {
  const MemoryRun sgd = make_run();
  const auto& game = *sgd.game;
  const Schedule& schedule = sgd.schedule;
  const Adam adam;
  const std::int64_t parameters = game.layout().size();
  const at::Tensor start = adam.initial_state(game.initial_parameters(3).unsqueeze(0))[0];
  std::vector<at::Tensor> states;
  const auto keep = [&](std::int64_t, const at::Tensor& state, const at::Tensor&, const at::Tensor&) {
    states.push_back(state.clone());
  };
  states.push_back(train({game, *sgd.engine, sgd.data, schedule, adam, 3}, start, 0, schedule.steps(),
                         Communicator(MPI_COMM_SELF), keep));
  std::vector<double> theta(parameters), m(parameters), v(parameters);
  for (std::int64_t i = 0; i < parameters; ++i) theta[i] = start[i].item<double>();
  for (std::int64_t t = 0; t < schedule.steps(); ++t) {
    const Batch batch = make_batch(sgd.data, schedule.batch(t), 3, t, {0, 5}, game);
    const at::Tensor g = sgd.engine->gradient(at::tensor(theta, at::kDouble).unsqueeze(0), batch,
                                              at::ones({1, 5}, at::kDouble))[0];
    const at::Tensor rate = game.layout().spread(schedule.rates(t), at::kDouble);
    for (std::int64_t i = 0; i < parameters; ++i) {
      const double gi = g[i].item<double>();
      m[i] = 0.9 * m[i] + 0.1 * gi;
      v[i] = 0.999 * v[i] + 0.001 * gi * gi;
      const double m_hat = m[i] / (1 - std::pow(0.9, t + 1)), v_hat = v[i] / (1 - std::pow(0.999, t + 1));
      theta[i] -= rate[i].item<double>() * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
  }
  const at::Tensor end = states.back();
  for (std::int64_t i = 0; i < parameters; ++i) EXPECT_NEAR(end[i].item<double>(), theta[i], 1e-12);

  const RecordedSteps plain = sgd.steps();
  const RecordedSteps recorded{plain.game,
                               plain.engine,
                               plain.data,
                               plain.seed,
                               plain.steps,
                               plain.steps_per_epoch,
                               [&](std::int64_t t) { return states[t]; },
                               plain.batch,
                               plain.moves,
                               adam};
  const Sets sets{{1, 2}};
  const auto blocks = plan_counterfactuals(starts_of(recorded, sets, {2}, 32), 1);
  Retraining retraining(recorded, blocks[0], sets);
  while (!retraining.done()) retraining.advance();
  const at::Tensor& again = retraining.state();
  EXPECT_TRUE(again[0].equal(end));
  EXPECT_GT((again[1] - end).abs().max().item<double>(), 1e-6);
}

}  // namespace
}  // namespace whence
