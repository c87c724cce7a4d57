// Schedules, steps, recordings and the trajectory file.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <unistd.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/optimise/sgd.h"
#include "whence/train/step.h"
#include "whence/train/trajectory/reader.h"
#include "whence/train/trajectory/recording.h"
#include "whence/train/trajectory/writer.h"

#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

namespace fs = std::filesystem;
using test::normals;

TEST(Schedule, AnEpochIsOnePermutationAndDropsAnIncompleteBatch) {
  const Schedule schedule({23, 5, 3, 9, Update::simultaneous, Decay::constant, {0.1, 0.2}});
  EXPECT_EQ(schedule.steps_per_epoch(), 4);
  EXPECT_EQ(schedule.steps(), 12);
  std::vector<std::vector<std::int64_t>> epochs;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<std::int64_t> seen;
    epochs.emplace_back();
    for (std::int64_t t = 4 * epoch; t < 4 * epoch + 4; ++t)
      for (std::int64_t i = 0; i < 5; ++i) {
        epochs.back().push_back(schedule.batch(t)[i].item<std::int64_t>());
        seen.insert(epochs.back().back());
      }
    EXPECT_EQ(seen.size(), 20u);
    EXPECT_GE(*seen.begin(), 0);
    EXPECT_LT(*seen.rbegin(), 23);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_TRUE(schedule.batch(1).equal(Schedule(schedule.options()).batch(1)));
}

TEST(Schedule, AnEpochMayBeFewerStepsThanAPassWhichChangesNoBatch) {
  ScheduleOptions options{23, 5, 6, 9, Update::simultaneous, Decay::constant, {0.1, 0.2}};
  const Schedule passes(options);
  options.epoch_steps = 3;
  const Schedule schedule(options);
  EXPECT_EQ(schedule.steps_per_epoch(), 3);
  EXPECT_EQ(schedule.steps(), 18);
  for (std::int64_t t = 0; t < 18; ++t) EXPECT_TRUE(schedule.batch(t).equal(passes.batch(t))) << t;
}

TEST(TrajectoryWriter, WritesFewerRowsTogetherWhereTheyAreLarge) {
  const auto plan = [](std::int64_t parameters, std::int64_t stride) {
    TrajectoryPlan plan{{}, 1000, parameters, 100, 1, at::kFloat, {}, {}};
    for (std::int64_t t = 0; t <= 1000; t += stride) plan.recorded.push_back(t);
    return plan;
  };
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(10'000, 1), 1), TrajectoryWriter::block + 1);
  // 65 rows of 4 MB fit, 33 of 8 MB; 64 ranks share a row.
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(1'000'000, 1), 1), 65);
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(2'000'000, 1), 1), 33);
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(64'000'000, 1), 64), 65);
  // Few of the steps are recorded: few rows, and no block ends early for the size of one.
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(2'000'000, 10), 1), 7);
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(100'000'000, 500), 1), 1);
  EXPECT_EQ(TrajectoryWriter::rows_together(plan(100'000'000, 1), 1), 2);
  // Two rows and two states are the least; before there were 65 rows.
  EXPECT_LT(TrajectoryWriter::memory(plan(100'000'000, 1), 1, at::kCPU), 4 * 400'000'000L + 10'000'000);
}

TEST(Schedule, RatesFollowUpdateAndDecay) {
  const Schedule alternating({20, 5, 3, 9, Update::alternating, Decay::inverse_sqrt, {0.1, 0.2}});
  EXPECT_TRUE(alternating.rates(0).equal(at::tensor({0.0, 0.2}, at::kDouble)));
  EXPECT_TRUE(alternating.rates(1).equal(at::tensor({0.1 / std::sqrt(2.0), 0.0}, at::kDouble)));
  const Schedule constant({20, 5, 3, 9, Update::simultaneous, Decay::constant, {0.1, 0.2}});
  EXPECT_TRUE(constant.rates(7).equal(at::tensor({0.1, 0.2}, at::kDouble)));
}

TEST(Schedule, RefusesABatchLargerThanTheData) {
  EXPECT_THROW(Schedule({4, 5, 1, 0, Update::simultaneous, Decay::constant, {0.1}}), UsageError);
}

TEST(Step, SlicesSeeTheRowsOfTheWholeBatch) {
  const test::QuadraticGame game(3, false, 0);
  Dataset data;
  data.instances = normals({10, 3}, 1);
  const at::Tensor positions = at::tensor({7, 1, 4, 9, 0}, at::kLong);
  const Batch whole = make_batch(data, positions, 5, 2, {0, 5}, game);
  const Batch part = make_batch(data, positions, 5, 2, {2, 5}, game);
  EXPECT_TRUE(whole.instances.narrow(0, 2, 3).equal(part.instances));
  EXPECT_TRUE(whole.latents.narrow(0, 2, 3).equal(part.latents));
  EXPECT_TRUE(part.instances[0].equal(data.instances.rows(4, 1)[0]));
  EXPECT_EQ(part.divisor, 5);
  EXPECT_TRUE(whole.carries_penalty);
  EXPECT_FALSE(part.carries_penalty);
  EXPECT_FALSE(make_batch(data, positions, 5, 3, {0, 5}, game).latents.equal(whole.latents));
  EXPECT_FALSE(validation_latents(5, 5, 3, at::kDouble).equal(whole.latents));
}

TEST(Step, AllFiniteFindsEveryKindOfBadNumber) {
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      at::Tensor values = normals({37}, 1).to(dtype);
      EXPECT_TRUE(all_finite(values));
      values[36] = bad;
      EXPECT_FALSE(all_finite(values));
    }
  EXPECT_TRUE(all_finite(at::tensor({std::numeric_limits<double>::max(), 0.0, 5e-324}, at::kDouble)));
}

TEST(Step, ABadGradientNamesStepPlayerAndReplica) {
  const test::QuadraticGame game(3, false, 0);
  at::Tensor gradient = normals({4, 6}, 1);
  gradient[2][4] = std::nan("");
  try {
    watch_players("the gradient", game.layout(), [](std::int64_t r) {
      return "replica " + std::to_string(r);
    }).see(gradient, 17);
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char* part : {"step 17", "second", "replica 2"})
      EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(Recording, KeepsWhatItSays) {
  EXPECT_EQ(recorded_steps("all", 4, 2), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(recorded_steps("last:1", 6, 2), (std::vector<std::int64_t>{4, 5, 6}));
  EXPECT_EQ(recorded_steps("last:9", 2, 2), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(recorded_steps("every:3", 7, 2), (std::vector<std::int64_t>{0, 3, 6, 7}));
  for (const char* bad : {"", "some", "last:", "last:0", "every:-1", "every:1,2", "last:x"})
    EXPECT_THROW(recorded_steps(bad, 4, 2), UsageError) << bad;
}

class TrajectoryFile : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr std::int64_t steps = 150;
  void SetUp() override {
    folder = fs::temp_directory_path() / ("whence_trajectory_" + world.broadcast(std::to_string(::getpid())));
    world.on_root([&] {
      fs::remove_all(folder);
      fs::create_directories(folder);
    });
    path = (folder / "trajectory.h5").string();
    plan = {{{"settings", "a = 1\n"}, {"data", "points"}, {"seed", "1"}, {"layout", "[]"}},
            steps,
            7,
            3,
            2,
            at::kDouble,
            recorded_steps(GetParam(), steps, 10),
            {5, 6, 7, 8}};
  }
  void TearDown() override {
    world.barrier();
    world.on_root([&] { fs::remove_all(folder); });
  }
  // theta before each step is any function of the step here.
  static at::Tensor theta(std::int64_t t) { return normals({7}, static_cast<int>(t)); }
  static at::Tensor batch(std::int64_t t) { return at::tensor({t % 4, (t + 1) % 4, (t + 2) % 4}, at::kLong); }
  static at::Tensor rates(std::int64_t t) { return at::tensor({0.5 * t, 2.0}, at::kDouble); }
  void write() const {
    TrajectoryWriter writer(path, plan, world);
    for (std::int64_t t = writer.first_step(); t < steps; ++t) writer.record(t, theta(t), batch(t), rates(t));
    writer.finish(theta(steps));
  }
  const Communicator world{MPI_COMM_WORLD};
  fs::path folder;
  std::string path;
  TrajectoryPlan plan;
};

TEST_P(TrajectoryFile, GivesBackWhatWasRecorded) {
  write();
  const Trajectory trajectory(path);
  EXPECT_EQ(trajectory.steps(), steps);
  EXPECT_EQ(trajectory.recorded(), plan.recorded);
  for (const std::int64_t t : plan.recorded) {
    EXPECT_TRUE(trajectory.params(t).equal(theta(t))) << t;
    trajectory.prefetch(t, world);
    EXPECT_TRUE(trajectory.params(t, world).equal(theta(t))) << t;
    EXPECT_TRUE(trajectory.params(t, world, 0).equal(theta(t))) << "together, step " << t;
  }
  for (std::int64_t t = 0; t < steps; ++t) {
    EXPECT_TRUE(trajectory.batch(t).equal(batch(t)));
    EXPECT_TRUE(trajectory.rates(t).equal(rates(t)));
  }
  EXPECT_NO_THROW(trajectory.verify());
  EXPECT_FALSE(fs::exists(path + ".part"));
}

// One number is another: some rank reads it, and all ranks hear of it.
TEST_P(TrajectoryFile, ADamagedRowIsAnErrorOnEveryRankThatReadsIt) {
  write();
  world.on_root([&] {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const at::Tensor row = theta(steps);
    const std::string last(static_cast<const char*>(row.data_ptr()) + 48, 8);
    const std::size_t place = bytes.find(last);
    ASSERT_NE(place, std::string::npos);
    file.seekp(static_cast<std::streamoff>(place));
    file.put(static_cast<char>(last[0] ^ 1));
  });
  const Trajectory trajectory(path);
  for (const std::int64_t least : {0, 1 << 22}) EXPECT_THROW(trajectory.params(steps, world, least), Error);
  const std::int64_t other = plan.recorded.front();
  EXPECT_TRUE(trajectory.params(other, world, 0).equal(theta(other)));
}

TEST_P(TrajectoryFile, IsRefusedWhileUnfinishedAndSaysHowFarItIs) {
  {
    TrajectoryWriter writer(path, plan, world);
    for (std::int64_t t = 0; t < 140; ++t) writer.record(t, theta(t), batch(t), rates(t));
    world.barrier();  // rank 0 writes the number of committed steps
    try {
      const Trajectory trajectory(path);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("64 of 150"), std::string::npos) << error.what();
    }
    world.barrier();
    for (std::int64_t t = 140; t < steps; ++t) writer.record(t, theta(t), batch(t), rates(t));
    writer.finish(theta(steps));
  }
  EXPECT_NO_THROW(Trajectory(path).verify());
}

TEST_P(TrajectoryFile, FingerprintChangesWithAnyStep) {
  write();
  const std::string before = Trajectory(path).fingerprint();
  EXPECT_EQ(before, Trajectory(path).fingerprint());
  world.barrier();
  plan.attributes["settings"] = "a = 2\n";
  world.on_root([&] { fs::remove(path); });
  write();
  EXPECT_NE(before, Trajectory(path).fingerprint());
}

TEST_P(TrajectoryFile, AnotherRunsPartIsNotGoneOnWith) {
  if (world.size() > 1) GTEST_SKIP() << "a refused writer of several ranks ends with its process";
  {
    TrajectoryWriter writer(path, plan, world);
    for (std::int64_t t = 0; t < 70; ++t) writer.record(t, theta(t), batch(t), rates(t));
    writer.finish(theta(steps));
    fs::rename(path, path + ".part");
  }
  plan.attributes["data"] = "other points";
  EXPECT_THROW(TrajectoryWriter(path, plan, world), Error);
}

INSTANTIATE_TEST_SUITE_P(Records, TrajectoryFile, ::testing::Values("all", "last:2", "every:7"));

TEST(Train, SplitsTheBatchOverRanksWithoutChangingTheRun) {
  const auto game = std::make_shared<test::QuadraticGame>(3, true, 0.1);
  const AutogradEngine engine(game);
  Dataset data;
  data.instances = normals({30, 3}, 1);
  const Schedule schedule({30, 7, 5, 9, Update::simultaneous, Decay::constant, {0.05, 0.05}});
  const auto end = [&](const Communicator& ranks) {
    return train({*game, engine, data, schedule, Sgd(), 4}, game->initial_parameters(1), 0, schedule.steps(),
                 ranks, [](std::int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&) {});
  };
  EXPECT_LT(test::relative_difference(end(Communicator(MPI_COMM_WORLD)), end(Communicator(MPI_COMM_SELF))),
            1e-13);
}

TEST(Train, GoesOnFromAnyStepBitForBit) {
  const auto game = std::make_shared<test::QuadraticGame>(3, true, 0.1);
  const auto engine = std::make_shared<AutogradEngine>(game);
  const test::MemoryRun run(game, engine, normals({30, 3}, 1),
                            {30, 7, 5, 9, Update::alternating, Decay::inverse_sqrt, {0.05, 0.05}});
  const at::Tensor end = train({*game, *engine, run.data, run.schedule, run.optimiser, run.seed},
                               run.params[11], 11, run.schedule.steps(), Communicator(MPI_COMM_SELF),
                               [](std::int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&) {});
  EXPECT_TRUE(test::same_bits(end, run.params.back()));
}

}  // namespace
}  // namespace whence
