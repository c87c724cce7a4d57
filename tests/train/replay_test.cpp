// Replayed states against those of the whole run, how many are kept, and what does not meet the recording.
#include "whence/train/trajectory/replay.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <set>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/optimise/sgd.h"

#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

using test::normals;

constexpr std::int64_t state_bytes = 6 * 8;

class ReplayTest : public ::testing::Test {
 protected:
  // Every state of a run of 150 steps as `ranks` train it, some of which count as recorded.
  struct Recorded {
    Recorded(const Communicator& ranks, std::vector<std::int64_t> recorded_steps)
        : game(std::make_shared<test::QuadraticGame>(3, true, 0.1)),
          engine(game),
          schedule({30, 7, 38, 9, Update::simultaneous, Decay::constant, {0.05, 0.05}}),
          steps(std::move(recorded_steps)) {
      data.instances = normals({30, 3}, 1);
      const at::Tensor end = train(training(), game->initial_parameters(1), 0, 150, ranks,
                                   [this](std::int64_t, const at::Tensor& state, const at::Tensor&,
                                          const at::Tensor&) { all.push_back(state.clone()); });
      all.push_back(end);
    }
    Training training() const { return {*game, engine, data, schedule, optimiser, 4}; }
    Replay replay(Walk walk, const Communicator& ranks, std::int64_t memory) {
      return {
          training(),
          {"run/trajectory.h5", steps, [this](std::int64_t t) { return rows.count(t) ? rows[t] : all[t]; }},
          {walk, ranks, memory}};
    }
    std::shared_ptr<test::QuadraticGame> game;
    AutogradEngine engine;
    Dataset data;
    Schedule schedule;
    Sgd optimiser;
    std::vector<std::int64_t> steps;
    std::vector<at::Tensor> all;
    std::map<std::int64_t, at::Tensor> rows;  // in place of those of `all`
  };
  const Communicator world{MPI_COMM_WORLD}, alone{MPI_COMM_SELF};
};

TEST_F(ReplayTest, BackwardsItGivesTheBitsOfTrainingOnTheSameRanks) {
  for (const auto& steps : {std::vector<std::int64_t>{0, 150}, {0, 7, 100, 149, 150}, {40, 43, 150}})
    for (const std::int64_t kept : {2, 3, 5, 1000}) {
      Recorded run(world, steps);
      Replay replay = run.replay(Walk::back, world, (kept + 2) * state_bytes);
      for (std::int64_t t = 150; t >= steps.front(); --t)
        ASSERT_TRUE(test::same_bits(replay.state(t), run.all[t])) << t << " with " << kept;
      EXPECT_EQ(replay.largest_distance(), 0);
      EXPECT_THROW(replay.state(steps.front() - 1), Error);
    }
}

TEST_F(ReplayTest, BackwardsItKeepsWhatMemoryAllowsAndTakesEachStepAsOftenAsItSays) {
  for (const std::int64_t states : {2, 3, 5, 9, 20}) {
    Recorded run(world, {0, 150});
    Replay replay = run.replay(Walk::back, world, (states + 2) * state_bytes);
    for (std::int64_t t = 149; t >= 0; --t) replay.state(t);
    EXPECT_LE(replay.most_kept(), states + 1) << "with the one handed out";
    EXPECT_GE(replay.most_kept(), std::min<std::int64_t>(states, 10));
    // The first time to the recorded row at the end, which is one step more.
    EXPECT_LE(replay.steps_taken(), 150 * times_taken(150, states)) << states;
  }
}

TEST_F(ReplayTest, BinomialReach) {
  EXPECT_EQ(times_taken(1, 1), 0);
  EXPECT_EQ(times_taken(150, 149), 1);
  EXPECT_EQ(times_taken(150, 150), 1);
  EXPECT_EQ(times_taken(20, 3), 3);  // binomial(3 + 3, 3) = 20
  EXPECT_EQ(times_taken(21, 3), 4);
  EXPECT_EQ(times_taken(8000, 126), 2);  // binomial(126 + 2, 2) = 8128
}

TEST_F(ReplayTest, AStateBackInTheMiddleOfAStretchIsCheckedToo) {
  Recorded run(world, {0, 100, 150});
  Replay replay = run.replay(Walk::back, world, 1 << 20);
  EXPECT_TRUE(test::same_bits(replay.state(30), run.all[30]));
  EXPECT_EQ(replay.steps_taken(), 100);
  EXPECT_TRUE(test::same_bits(replay.state(60), run.all[60])) << "forwards, though it walks back";
}

TEST_F(ReplayTest, ForwardsItKeepsOneStateAndGoesOnFromIt) {
  Recorded run(alone, {0, 100, 150});
  Replay replay = run.replay(Walk::forth, alone, 0);
  for (const std::int64_t t : {3, 3, 40, 99, 100, 120, 149, 150, 20})
    EXPECT_TRUE(test::same_bits(replay.state(t), run.all[t])) << t;
  EXPECT_EQ(replay.most_kept(), 1);
  // A stretch that is entered goes to its end for the comparison; then 3 to 40 and 99, 120 to 149.
  EXPECT_EQ(replay.steps_taken(), 100 + 37 + 59 + 50 + 29 + 100);
}

TEST_F(ReplayTest, WhatDoesNotMeetTheNextRecordedRowIsAnErrorThatNamesBoth) {
  for (const Walk walk : {Walk::back, Walk::forth}) {
    Recorded run(world, {0, 60, 150});
    run.rows[60] = run.all[60].clone();
    run.rows[60][2] += 1e-4 * run.all[60].abs().max().item<double>();
    Replay replay = run.replay(walk, world, 1 << 20);
    try {
      replay.state(30);
      FAIL() << "no error";
    } catch (const Error& error) {
      const std::string message = error.what();
      for (const char* part : {"run/trajectory.h5", "from step 0", "step 60"})
        EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  }
}

TEST_F(ReplayTest, RoundingIsReportedAndNoError) {
  Recorded run(world, {0, 60, 150});
  run.rows[60] = run.all[60].clone();
  const double largest = run.all[60].abs().max().item<double>();
  run.rows[60][2] += 1e-9 * largest;
  Replay replay = run.replay(Walk::back, world, 1 << 20);
  EXPECT_EQ(replay.report(world), "");
  replay.state(30);
  EXPECT_NEAR(replay.largest_distance(), 1e-9, 2e-10);
  EXPECT_NE(replay.report(world).find("1.0e-09"), std::string::npos) << replay.report(world);
}

TEST_F(ReplayTest, MemoryForLessThanFourStatesIsRefused) {
  Recorded run(world, {0, 150});
  Replay replay = run.replay(Walk::back, world, 4 * state_bytes - 1);
  EXPECT_NO_THROW(replay.state(150)) << "nothing to replay";
  try {
    replay.state(149);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("--memory"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace whence
