// Crossings counted with moves carried forward, against retraining without each instance.

#include <gtest/gtest.h>

#include <ATen/ops/ones.h>

#include "whence/game/fcgan.h"
#include "whence/game/vae.h"
#include "whence/trace/crossings.h"
#include "whence/trace/trace_back.h"

#include "support/memory_run.h"
#include "support/normal_run.h"
#include "support/numbers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::normals;

constexpr std::int64_t instances = 400, batch = 40, epochs = 4, retrained = 60;

std::shared_ptr<const Game> small_fcgan(bool biases, std::vector<std::int64_t> hidden = {16, 16}) {
  return std::make_shared<Fcgan>(FcganOptions{
      3, 2, {9}, std::move(hidden), Activation::relu, Activation::linear, biases, 0.01, at::kDouble});
}

// Mini-batches so large that a removal's move is small, and what is not linear in it is its crossings; rates
// so large that it does not stay what it was.
MemoryRun run_of(const std::shared_ptr<const Game>& game, double rate, const OptimiserOptions& optimiser = {},
                 std::int64_t count = instances, std::int64_t rows = batch) {
  const std::int64_t width = game->layout().player_count() == 1 ? 12 : 3;
  return test::normal_run(game, {count, rows, epochs, width, rate, optimiser});
}

// How much <direction, theta> at the end changes without each of the first instances in the last k epochs.
at::Tensor truth_of(const RecordedSteps& run, const at::Tensor& direction, std::int64_t k) {
  const std::int64_t first = run.steps - k * run.steps_per_epoch;
  at::Tensor states = run.state(first).repeat({retrained, 1});
  for (std::int64_t t = first; t < run.steps; ++t) {
    at::Tensor weights = at::ones({retrained, batch}, at::kDouble);
    for (std::int64_t i = 0; i < batch; ++i)
      if (const auto j = run.batch(t)[i].item<std::int64_t>(); j < retrained) weights[j][i] = 0;
    take_again(run, states, t, weights);
  }
  return (states - run.state(run.steps)).matmul(direction);
}

TraceBackOptions options_of(std::int64_t k, bool carried) {
  TraceBackOptions options{{k}, {1e-3}, {1}, {k}, {0, 0}};
  if (carried) options.carried = {k};
  return options;
}

at::Tensor influences(const RecordedSteps& run, const at::Tensor& direction, const TraceBackOptions& options,
                      const Communicator& ranks = Communicator(MPI_COMM_WORLD)) {
  TraceBack sweep(run, direction.unsqueeze(0), options, ranks);
  while (!sweep.done()) sweep.step();
  EXPECT_GT(sweep.crossings_each()[0], 0.1) << "next to nothing crosses";
  return sweep.result()[0][0][0];
}

void expect_nearly_the_truth(const std::shared_ptr<const Game>& game, double rate, std::int64_t k,
                             double error, double of_frozen) {
  const MemoryRun run = run_of(game, rate);
  const at::Tensor direction = normals({game->layout().size()}, 2),
                   truth = truth_of(run.steps(), direction, k);
  const auto error_of = [&](bool carried) {
    const at::Tensor found = influences(run.steps(), direction, options_of(k, carried));
    return test::relative_difference(found.narrow(0, 0, retrained), truth);
  };
  EXPECT_LT(error_of(true), error) << rate << " " << k;
  EXPECT_GT(error_of(false), of_frozen) << "frozen moves would do: " << rate << " " << k;
}

TEST(CarriedMoves, CountWhatRetrainingShows) {
  expect_nearly_the_truth(small_fcgan(true), 0.01, 1, 3e-4, 0.03);
  expect_nearly_the_truth(small_fcgan(false), 0.02, 1, 3e-4, 0.03);
  expect_nearly_the_truth(small_fcgan(true), 0.01, 2, 0.03, 0.1);
  expect_nearly_the_truth(small_fcgan(true, {14, 12, 10}), 0.01, 1, 1.5e-3, 0.1);
}

TEST(CarriedMoves, CountThroughAVaesEncoderAndDecoder) {
  expect_nearly_the_truth(std::make_shared<Vae>(test::small_mlp_vae(Likelihood::bernoulli)), 1e-3, 1, 1e-3,
                          0.05);
}

TEST(CarriedMoves, AreTheSameOnAnyNumberOfRanks) {
  const MemoryRun run = run_of(small_fcgan(true), 0.01);
  const at::Tensor direction = normals({run.game->layout().size()}, 2);
  const at::Tensor together = influences(run.steps(), direction, options_of(2, true)),
                   alone =
                       influences(run.steps(), direction, options_of(2, true), Communicator(MPI_COMM_SELF));
  EXPECT_LT(test::relative_difference(together, alone), 1e-11);
}

TEST(CarriedMoves, NeedNoInstanceOnEveryRank) {
  const MemoryRun two = run_of(small_fcgan(true), 0.05, {}, 2, 2);
  const at::Tensor query = normals({1, two.game->layout().size()}, 2);
  const auto traced = [&](MPI_Comm ranks) {
    return trace_back(two.steps(), query, options_of(4, true), Communicator(ranks), [](std::int64_t) {});
  };
  EXPECT_LT(test::relative_difference(traced(MPI_COMM_WORLD), traced(MPI_COMM_SELF)), 1e-11);
}

TEST(CarriedMoves, StandBesideFrozenOnesAndLeaveWhatIsNotCountedAsItIs) {
  const MemoryRun run = run_of(small_fcgan(true), 0.01);
  const at::Tensor queries = normals({2, run.game->layout().size()}, 2);
  const auto traced = [&](std::vector<std::int64_t> counted, std::vector<std::int64_t> carried) {
    TraceBackOptions options{{1, 2}, {0.0, 1e-2}, {1}, std::move(counted), {0, 0}};
    options.carried = std::move(carried);
    return trace_back(run.steps(), queries, options, Communicator(MPI_COMM_WORLD), [](std::int64_t) {});
  };
  const at::Tensor none = traced({}, {}), mixed = traced({1, 2}, {2}), frozen = traced({1, 2}, {}),
                   carried = traced({1, 2}, {1, 2});
  EXPECT_LT(test::relative_difference(mixed[0], none[0]), 1e-13) << "kink width 0";
  EXPECT_LT(test::relative_difference(mixed[1].select(1, 0), frozen[1].select(1, 0)), 1e-12);
  EXPECT_LT(test::relative_difference(mixed[1].select(1, 1), carried[1].select(1, 1)), 1e-12);
  EXPECT_GT(test::relative_difference(mixed[1].select(1, 1), frozen[1].select(1, 1)), 1e-3);
}

TEST(CarriedMoves, AreLeftWhereTheyAreAskedToBeAndCarriedAgain) {
  const MemoryRun run = run_of(small_fcgan(true), 0.01);
  const at::Tensor direction = normals({run.game->layout().size()}, 2);
  const TraceBackOptions options = options_of(2, true);
  TraceBack sweep(run.steps(), direction.unsqueeze(0), options, Communicator(MPI_COMM_WORLD));
  double reached = 0;
  EXPECT_FALSE(sweep.look_back([&](double share) {
    reached = share;
    return share < 0.5;
  }));
  EXPECT_GE(reached, 0.5);
  EXPECT_LT(reached, 0.7);
  EXPECT_TRUE(sweep.look_back([&](double share) {
    reached = share;
    return true;
  }));
  EXPECT_EQ(reached, 1);
  while (sweep.taken() < 7) sweep.step();
  TraceBack rest(run.steps(), direction.unsqueeze(0), options, Communicator(MPI_COMM_WORLD));
  rest.restore(7, sweep.state());
  for (TraceBack* each : {&sweep, &rest})
    while (!each->done()) each->step();
  EXPECT_TRUE(rest.result().equal(sweep.result()));
  EXPECT_TRUE(sweep.result()[0][0][0].equal(influences(run.steps(), direction, options)));
}

TEST(CarriedMoves, AreThoseOfOptimisersWhoseStateIsTheta) {
  OptimiserOptions momentum, decaying;
  momentum.name = "momentum";
  momentum.momentum = 0.5;
  decaying.weight_decay = 0.1;
  EXPECT_TRUE(moves_can_be_carried(run_of(small_fcgan(true), 0.01).steps()));
  EXPECT_TRUE(moves_can_be_carried(run_of(small_fcgan(true), 0.01, decaying).steps()));
  EXPECT_FALSE(moves_can_be_carried(run_of(small_fcgan(true), 0.01, momentum).steps()));
}

}  // namespace
}  // namespace whence
