// Trace-back through every optimiser: exact where steps are linear, the derivative by the weights elsewhere.
#include "support/optimisers.h"

#include <gtest/gtest.h>
#include <limits>
#include <tuple>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/train/step.h"

#include "support/quadratic_game.h"
#include "trace/exact.h"

namespace whence {
namespace {

using test::compare;
using test::Compared;
using test::MemoryRun;
using test::NamedOptimiser;
using test::normals;
using test::QuadraticGame;
using test::relative_difference;

constexpr std::int64_t instances = 18, batch = 5, epochs = 4, width = 3;

struct Turns {
  const char* name;
  Update update;
  std::int64_t last_player_steps;
  Decay decay;
  std::int64_t warmup;
};

const Turns together{"Together", Update::simultaneous, 1, Decay::constant, 0},
    in_turn{"InTurn", Update::alternating, 2, Decay::cosine, 3};

MemoryRun make_run(const OptimiserOptions& optimiser, const Turns& turns, bool quadratic,
                   double rate = 0.05) {
  const auto game = std::make_shared<QuadraticGame>(width, quadratic, 0.1);
  ScheduleOptions schedule{instances, batch, epochs, 3, turns.update, turns.decay, {rate, 1.3 * rate}};
  schedule.last_player_steps = turns.last_player_steps;
  schedule.warmup = turns.warmup;
  return {game, std::make_shared<AutogradEngine>(game), normals({instances, width}, 1), schedule, optimiser};
}

using Case = std::tuple<NamedOptimiser, Turns>;
std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return std::get<0>(info.param).name + std::get<1>(info.param).name;
}

class LinearOptimisers : public ::testing::TestWithParam<Case> {};

TEST_P(LinearOptimisers, EstimateEqualsRetrainingForEveryInstanceAndHorizon) {
  const MemoryRun run = make_run(std::get<0>(GetParam()).options, std::get<1>(GetParam()), false);
  for (const std::int64_t k : {std::int64_t{1}, epochs}) {
    const Compared compared = compare(run, k);
    ASSERT_GT(compared.scale(), 1e-4);
    EXPECT_LT(compared.error(), 1e-12 * std::max(1.0, compared.scale())) << "k = " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Optimisers, LinearOptimisers,
                         ::testing::Combine(::testing::ValuesIn(test::linear_optimisers()),
                                            ::testing::Values(together, in_turn)),
                         name_of);

// V at the end with the weight of instance j changed to w, for all w of a list at once.
at::Tensor retrained(const MemoryRun& run, const at::Tensor& direction, std::int64_t j,
                     const std::vector<double>& weights) {
  const auto replicas = static_cast<std::int64_t>(weights.size());
  at::Tensor state = run.params.front().repeat({replicas, 1});
  for (std::int64_t t = 0; t < run.schedule.steps(); ++t) {
    const at::Tensor positions = run.schedule.batch(t);
    at::Tensor present = at::ones({replicas, batch}, at::kDouble);
    for (std::int64_t i = 0; i < batch; ++i)
      for (std::int64_t r = 0; r < replicas; ++r)
        if (positions[i].item<std::int64_t>() == j) present[r][i] = weights[r];
    const Batch rows = make_batch(run.data, positions, run.seed, t, {0, batch}, *run.game);
    const at::Tensor g = run.engine->gradient(run.optimiser.part(state, 0), rows, present);
    run.optimiser.update(state, g, run.schedule.moves(t, run.schedule.rates(t), run.game->layout()));
  }
  return run.optimiser.model(state).matmul(direction);
}

at::Tensor traced(const MemoryRun& run, const at::Tensor& queries, std::int64_t k = epochs,
                  std::int64_t groups = 1) {
  return trace_back(run.steps(), queries, {{k}, {0.0}, {groups}}, Communicator(MPI_COMM_WORLD),
                    [](std::int64_t) {})[0]
      .select(1, 0);
}

class EveryOptimiser : public ::testing::TestWithParam<Case> {};

TEST_P(EveryOptimiser, EstimateIsTheDerivativeByTheWeightsOfWholeRetrainings) {
  const MemoryRun run = make_run(std::get<0>(GetParam()).options, std::get<1>(GetParam()), true);
  const at::Tensor direction = normals({2 * width}, 2), estimate = traced(run, direction.unsqueeze(0))[0];
  ASSERT_GT(estimate.abs().max().item<double>(), 1e-4);
  for (const std::int64_t j : {0, 7, 13}) {
    constexpr double h = 1e-4;
    const at::Tensor v = retrained(run, direction, j, {1 - h, 1 + h, 1 - 2 * h, 1 + 2 * h});
    // Central differences, of fourth order.
    const double derivative = (8 * (v[1] - v[0]) - (v[3] - v[2])).item<double>() / (12 * h);
    EXPECT_NEAR(estimate[j].item<double>(), -derivative, 1e-7 * estimate.abs().max().item<double>()) << j;
  }
}

// What the estimate misses is of second order in the weight: a quarter at half the step.
TEST_P(EveryOptimiser, EstimateIsFirstOrderInTheWeight) {
  const MemoryRun run = make_run(std::get<0>(GetParam()).options, std::get<1>(GetParam()), true);
  const at::Tensor direction = normals({2 * width}, 2), estimate = traced(run, direction.unsqueeze(0))[0];
  double coarse = 0, fine = 0;
  for (std::int64_t j = 0; j < instances; j += 4) {
    const double h = 0.004;
    const at::Tensor v = retrained(run, direction, j, {1, 1 - h, 1 - h / 2});
    const double influence = estimate[j].item<double>();
    coarse += std::abs((v[1] - v[0]).item<double>() - h * influence);
    fine += std::abs((v[2] - v[0]).item<double>() - h / 2 * influence);
  }
  ASSERT_GT(fine, 1e-11);
  EXPECT_NEAR(coarse / fine, 4.0, 0.15);
}

TEST_P(EveryOptimiser, GoesOnFromWhereItStoodToTheSameBits) {
  const MemoryRun run = make_run(std::get<0>(GetParam()).options, std::get<1>(GetParam()), true);
  const Communicator world(MPI_COMM_WORLD);
  const at::Tensor queries = normals({3, 2 * width}, 4);
  const TraceBackOptions options{{1, epochs}, {0.0, 0.5}, {1}};
  TraceBack whole(run.steps(), queries, options, world), begun(run.steps(), queries, options, world);
  while (!whole.done()) whole.step();
  for (int step = 0; step < 5; ++step) begun.step();
  const TraceState state = begun.state();
  EXPECT_EQ(state.queries.numel(), begun.query_numbers());
  EXPECT_EQ(state.sums.numel(), begun.sum_numbers());
  TraceBack again(run.steps(), queries, options, world);
  again.restore(begun.taken(), state);
  while (!again.done()) again.step();
  EXPECT_TRUE(test::same_bits(again.result(), whole.result()));
  const at::Tensor near = whole.near_zero_shares(), near_again = again.near_zero_shares();
  EXPECT_EQ(near.defined(), near_again.defined());
  if (near.defined()) {
    EXPECT_TRUE(near_again.equal(near));
  }
}

TEST_P(EveryOptimiser, GivesTheSameOnAnyGrid) {
  const MemoryRun run = make_run(std::get<0>(GetParam()).options, std::get<1>(GetParam()), true);
  const Communicator world(MPI_COMM_WORLD), self(MPI_COMM_SELF);
  const at::Tensor queries = normals({3, 2 * width}, 4);
  const at::Tensor alone =
      trace_back(run.steps(), queries, {{2}, {0.0}, {1}}, self, [](std::int64_t) {})[0].select(1, 0);
  for (std::int64_t groups = 1; groups <= world.size(); ++groups)
    EXPECT_LT(relative_difference(traced(run, queries, 2, groups), alone), 1e-11) << groups;
}

INSTANTIATE_TEST_SUITE_P(Optimisers, EveryOptimiser,
                         ::testing::Combine(::testing::ValuesIn(test::adaptive_optimisers()),
                                            ::testing::Values(together, in_turn)),
                         name_of);

TEST(NearZero, SharesAreOfTheParametersWithoutGradients) {
  OptimiserOptions coarse = test::optimiser_called("adam"), fine = coarse;
  coarse.epsilon = 1e3;  // makes up nearly all of every divisor
  fine.epsilon = 1e-12;
  const Communicator world(MPI_COMM_WORLD);
  for (const auto& [options, share] : {std::pair(coarse, 1.0), std::pair(fine, 0.0)}) {
    const MemoryRun run = make_run(options, together, true);
    TraceBack sweep(run.steps(), normals({3, 2 * width}, 4), {{1}, {0.0, 0.1}, {std::min(world.size(), 3)}},
                    world);
    while (!sweep.done()) sweep.step();
    const at::Tensor shares = sweep.near_zero_shares();
    EXPECT_EQ(shares.sizes(), (std::vector<std::int64_t>{2, 3}));
    EXPECT_TRUE((shares - share).abs().lt(1e-12).all().item<bool>()) << share;
  }
  const MemoryRun sgd = make_run({}, together, true);
  TraceBack plain(sgd.steps(), normals({1, 2 * width}, 4), {{1}, {0.0}, {1}}, world);
  EXPECT_FALSE(plain.near_zero_shares().defined());
}

// What to do about a query that grows beyond all bounds is said.
TEST(TraceBack, AQueryThatIsNotFiniteIsAnErrorThatNamesTheWayOut) {
  const MemoryRun run = make_run({}, together, true);
  const at::Tensor query = at::full({1, 2 * width}, std::numeric_limits<double>::infinity(), at::kDouble);
  for (const auto& [kink_width, words] :
       {std::pair(0.0, "(kink width 0): it has grown beyond every bound in 1 steps"),
        std::pair(0.1, "; --kink-width 0 or fewer --epochs-back may help")}) {
    TraceBack sweep(run.steps(), query, {{1}, {kink_width}, {1}}, Communicator(MPI_COMM_WORLD));
    try {
      sweep.step();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace whence
