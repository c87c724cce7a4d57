// Estimate against truth where both are known: games with quadratic losses and a linear V.
#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <tuple>

#include <ATen/ops/stack.h>

#include "whence/comm/session.h"
#include "whence/game/autograd_engine.h"
#include "whence/retrain/counterfactual.h"

#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"
#include "trace/exact.h"

namespace whence {
namespace {

using test::compare;
using test::Compared;
using test::LinearMetric;
using test::MemoryRun;
using test::normals;
using test::QuadraticGame;

constexpr std::int64_t instances = 18, batch = 5, epochs = 4, width = 3;

MemoryRun make_run(bool quadratic, double l2, Update update, double rate) {
  const auto game = std::make_shared<QuadraticGame>(width, quadratic, l2);
  ScheduleOptions schedule{instances, batch, epochs, 3, update, Decay::inverse_sqrt, {rate, 1.3 * rate}};
  return {game, std::make_shared<AutogradEngine>(game), normals({instances, width}, 1), schedule};
}

class LinearInstances : public ::testing::TestWithParam<std::tuple<Update, double>> {};

TEST_P(LinearInstances, EstimateEqualsRetrainingForEveryInstanceAndHorizon) {
  const auto [update, l2] = GetParam();
  const MemoryRun run = make_run(false, l2, update, 0.05);
  for (std::int64_t k = 1; k <= epochs; ++k) {
    const Compared compared = compare(run, k);
    ASSERT_GT(compared.scale(), 1e-4);
    EXPECT_LT(compared.error(), 1e-12) << "k = " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(BothUpdatesAndL2, LinearInstances,
                         ::testing::Combine(::testing::Values(Update::simultaneous, Update::alternating),
                                            ::testing::Values(0.0, 0.3)));

TEST(QuadraticInstances, EstimateIsExactForOneEpoch) {
  for (const Update update : {Update::simultaneous, Update::alternating}) {
    const Compared compared = compare(make_run(true, 0.1, update, 0.05), 1);
    ASSERT_GT(compared.scale(), 1e-4);
    EXPECT_LT(compared.error(), 1e-12);
  }
}

// Influence is of order rate; what a first-order estimate misses is of order rate^2, a quarter at half the
// rate.
TEST(QuadraticInstances, EstimateIsFirstOrderBeyondOneEpoch) {
  const double coarse = compare(make_run(true, 0, Update::simultaneous, 2e-3), epochs).error();
  const double fine = compare(make_run(true, 0, Update::simultaneous, 1e-3), epochs).error();
  ASSERT_GT(fine, 1e-10);
  EXPECT_NEAR(coarse / fine, 4.0, 0.15);
}

TEST(TraceBack, GivesTheSameForAnyListOfHorizonsAndAnyGrid) {
  const Communicator world(MPI_COMM_WORLD);
  const MemoryRun run = make_run(true, 0.1, Update::simultaneous, 0.05);
  const at::Tensor queries = normals({6, 2 * width}, 4);
  const auto traced = [&](std::vector<std::int64_t> horizons, std::int64_t groups) {
    return trace_back(run.steps(), queries, {std::move(horizons), {0.0}, {groups}}, world,
                      [](std::int64_t) {});
  };
  const at::Tensor together = traced({1, 2, 4}, 1);
  EXPECT_LT(test::relative_difference(traced({2}, 1).select(2, 0), together.select(2, 1)), 1e-14);
  EXPECT_LT(test::relative_difference(traced({1, 2, 4}, world.size()), together), 1e-12);
}

TEST(TraceBack, GroupsNeedNotBeEven) {
  const Communicator world(MPI_COMM_WORLD);
  const MemoryRun run = make_run(true, 0.1, Update::simultaneous, 0.05);
  const at::Tensor queries = normals({3, 2 * width}, 4);
  const auto traced = [&](std::int64_t groups) {
    return trace_back(run.steps(), queries, {{1, 3}, {0.0, 0.5}, {groups}}, world, [](std::int64_t) {});
  };
  const at::Tensor one = traced(1);
  ASSERT_GT(one.abs().max().item<double>(), 1e-4);
  for (std::int64_t groups = 2; groups <= std::min(world.size(), 3); ++groups)
    EXPECT_LT(test::relative_difference(traced(groups), one), 1e-12) << groups << " groups";
}

TEST(TraceBack, EachRankHasTheInfluencesOnItsPartOfTheInstancesAlone) {
  const Communicator world(MPI_COMM_WORLD);
  const MemoryRun run = make_run(true, 0.1, Update::simultaneous, 0.05);
  const at::Tensor queries = normals({3, 2 * width}, 4);
  for (std::int64_t groups = 1; groups <= world.size(); ++groups) {
    const TraceBackOptions options{{1, 3}, {0.0, 0.5}, {groups}};
    const at::Tensor whole = trace_back(run.steps(), queries, options, world, [](std::int64_t) {});
    TraceBack sweep(run.steps(), queries, options, world);
    while (!sweep.done()) sweep.step();
    const InfluencePart own = sweep.part();
    const std::int64_t group = group_of(world.rank(), world.size(), options.grid);
    const Range members = part_of(world.size(), groups, group);
    EXPECT_EQ(own.queries, part_of(3, groups, group));
    EXPECT_EQ(own.instances, part_of(instances, members.size(), world.rank() - members.begin));
    EXPECT_TRUE(own.values.equal(whole.narrow(1, own.queries.begin, own.queries.size())
                                     .narrow(3, own.instances.begin, own.instances.size())));
    // Results of two k and what is added up, for each width; and sums that do not depend on N.
    EXPECT_LE(sweep.sum_numbers(), 2 * own.queries.size() * (3 * own.instances.size() + 2 + 3));
    // One number a parameter and a row of the mini-batch for each width and query.
    EXPECT_EQ(sweep.traffic(), members.size() == 1 ? 0 : 2.0 * own.queries.size() * (2 * width + batch) * 8);
  }
}

TEST(TraceBack, EveryRankIsInOneGroupAndGroupsDifferByOneRank) {
  for (std::int64_t ranks = 1; ranks <= 12; ++ranks)
    for (std::int64_t groups = 1; groups <= ranks; ++groups) {
      std::vector<std::int64_t> members(groups, 0);
      for (std::int64_t r = 0; r < ranks; ++r) ++members.at(group_of(r, ranks, {groups}));
      EXPECT_LE(members.front() - members.back(), 1);
      EXPECT_GE(members.back(), ranks / groups);
    }
}

TEST(TraceBack, TheAutomaticGridTakesTheLeastTime) {
  const auto groups = [](std::int64_t ranks, std::int64_t queries, std::int64_t batch) {
    return automatic_grid(ranks, queries, batch).query_groups;
  };
  EXPECT_EQ(groups(1, 5, 100), 1);
  EXPECT_EQ(groups(64, 3, 100), 3);  // one group: 3 (2 + 4) rows; three of 21 or 22 ranks: 5 + 4
  EXPECT_EQ(groups(4, 2, 100), 2);
  EXPECT_EQ(groups(2, 6, 100), 2);  // no traffic at all
  EXPECT_EQ(groups(2, 3, 100), 1);  // two groups would have 2 queries and 1: 200 rows, not 3 (50 + 4)
  EXPECT_EQ(groups(2, 3, 6), 2);    // a small batch is not worth sharing: 2 x 6, not 3 (3 + 4)
  EXPECT_EQ(groups(5, 3, 100), 1);  // 3 (20 + 4), not 100 of the rank that is alone
  EXPECT_EQ(groups(100, 1, 100), 1);
}

TEST(TraceBack, NamesStepAndQueryWhenANumberIsNotFinite) {
  const MemoryRun run = make_run(false, 0, Update::simultaneous, 0.05);
  at::Tensor queries = normals({2, 2 * width}, 4);
  queries[1][0] = std::numeric_limits<double>::infinity();
  try {
    trace_back(run.steps(), queries, {{1}, {0.0}, {1}}, Communicator(MPI_COMM_WORLD), [](std::int64_t) {});
    FAIL() << "no error";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("query 1"), std::string::npos) << error.what();
  }
}

// The change of a linear V without each set, two epochs back, retrained `replicas` sets at a time.
at::Tensor changes(const RecordedSteps& steps, const std::vector<std::vector<std::int64_t>>& removals,
                   std::int64_t together, std::int64_t replicas) {
  const std::vector<std::shared_ptr<const Metric>> metrics{
      std::make_shared<LinearMetric>(normals({2 * width}, 2))};
  at::Tensor change = at::empty({static_cast<std::int64_t>(removals.size())}, at::kDouble);
  for (const auto& block : plan_counterfactuals(starts_of(steps, removals, {2}, together), replicas)) {
    const auto found = retrain(steps, block, removals, metrics, [] {});
    for (std::size_t i = 0; i < block.removals.size(); ++i)
      change[block.removals[i]].copy_(found.change[i][0]);
  }
  return change;
}

TEST(Counterfactual, AReplicaDoesNotDependOnItsBlock) {
  const MemoryRun run = make_run(true, 0.1, Update::simultaneous, 0.05);
  std::vector<std::vector<std::int64_t>> removals;
  for (std::int64_t j = 0; j < instances; ++j) removals.push_back({j, (j + 3) % instances});
  const at::Tensor alone = changes(run.steps(), removals, 32, 1);
  for (const std::int64_t replicas : {4, 18})
    EXPECT_LT(test::relative_difference(alone, changes(run.steps(), removals, 32, replicas)), 1e-14);
}

TEST(Counterfactual, TheCutDoesNotMatterWhereAReplayMissesTheRecordedSteps) {
  const MemoryRun run = make_run(true, 0.1, Update::simultaneous, 0.05);
  RecordedSteps steps = run.steps();
  steps.state = [&run](std::int64_t t) {
    return run.params[t] + 1e-3 * normals({run.params[t].numel()}, 100 + t);
  };
  std::vector<std::vector<std::int64_t>> removals;
  for (std::int64_t j = 0; j < instances; ++j) removals.push_back({j});
  const at::Tensor whole = changes(steps, removals, 6, 6);
  for (const std::int64_t replicas : {1, 4, 5})
    EXPECT_LT(test::relative_difference(changes(steps, removals, 6, replicas), whole), 1e-13) << replicas;
  EXPECT_GT(test::relative_difference(changes(steps, removals, 4, 4), whole), 1e-6);  // other starts are seen
}

TEST(Counterfactual, AnInstanceThatNoStepUsesChangesNothing) {
  const MemoryRun run = make_run(false, 0, Update::simultaneous, 0.05);
  std::vector<bool> used(instances, false);
  for (std::int64_t t = run.schedule.steps() - run.schedule.steps_per_epoch(); t < run.schedule.steps(); ++t)
    for (std::int64_t i = 0; i < batch; ++i) used[run.schedule.batch(t)[i].item<std::int64_t>()] = true;
  const std::int64_t unused = std::find(used.begin(), used.end(), false) - used.begin();
  ASSERT_LT(unused, instances);
  const Compared compared = compare(run, 1);
  EXPECT_EQ(compared.truth[unused].item<double>(), 0.0);
  EXPECT_EQ(compared.estimate[unused].item<double>(), 0.0);
}

TEST(Counterfactual, BlocksStartAtTheFirstStepThatDiffersAndCoverEveryTargetOnce) {
  const MemoryRun run = make_run(false, 0, Update::simultaneous, 0.05);
  std::vector<std::vector<std::int64_t>> each;
  for (std::int64_t j = 0; j < instances; ++j) each.push_back({j});
  std::vector<int> seen(instances, 0);
  for (const auto& block : plan_counterfactuals(starts_of(run.steps(), each, {3}, 5), 5)) {
    EXPECT_LE(block.removals.size(), 5u);
    std::int64_t first = run.schedule.steps();
    for (const std::int64_t target : block.removals) {
      ++seen[target];
      for (std::int64_t t = run.schedule.steps() - 1; t >= run.schedule.steps() - 9; --t)
        if ((run.schedule.batch(t) == target).any().item<bool>()) first = std::min(first, t);
    }
    EXPECT_EQ(block.first_step, first);
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), instances);
}

}  // namespace
}  // namespace whence
