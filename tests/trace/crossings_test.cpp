// Counted kink crossings against what they stand for: differences of gradients at parameters that were moved.

#include "whence/trace/crossings.h"

#include <cmath>
#include <gtest/gtest.h>
#include <stdexcept>

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/game/autograd_engine.h"
#include "whence/game/fcgan.h"
#include "whence/game/vae.h"
#include "whence/trace/trace_back.h"
#include "whence/train/step.h"

#include "support/memory_run.h"
#include "support/normal_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::normals;

constexpr std::int64_t instances = 48, batch = 12, epochs = 2;

std::shared_ptr<const Game> small_fcgan(Activation hidden, bool biases, at::ScalarType dtype = at::kDouble) {
  return std::make_shared<Fcgan>(
      FcganOptions{3, 2, {7}, {24, 20, 12}, hidden, Activation::linear, biases, 0.01, dtype});
}

MemoryRun run_of(const std::shared_ptr<const Game>& game, std::int64_t width, double rate,
                 const OptimiserOptions& optimiser = {}, std::int64_t rows = batch) {
  return test::normal_run(game, {instances, rows, epochs, width, rate, optimiser});
}

// Which way removing each instance moves the whole state, with all later gradients as they were: the
// optimiser's own steps, from a state of 0, by the gradients that are missing. [N, S] before step t, from
// step `first` on.
at::Tensor moved_states(const RecordedSteps& run, std::int64_t first, std::int64_t t) {
  const std::int64_t parameters = run.game.layout().size();
  const auto [begin, end] = run.game.layout().block(run.game.perceptrons()->instance_player());
  at::Tensor moved = at::zeros({instances, run.optimiser.state_size(parameters)}, at::kDouble);
  for (std::int64_t s = first; s < t; ++s) {
    const at::Tensor positions = run.batch(s), theta = run.optimiser.part(run.state(s), 0).unsqueeze(0);
    const Batch seen = make_batch(run.data, positions, run.seed, s, {0, batch}, run.game);
    at::Tensor missing = at::zeros({instances, parameters}, at::kDouble);
    const at::Tensor all = run.engine.gradient(theta, seen, at::ones({1, batch}, theta.options()))[0];
    for (std::int64_t b = 0; b < batch; ++b) {
      at::Tensor weights = at::ones({1, batch}, theta.options());
      weights[0][b] = 0;
      const at::Tensor change = run.engine.gradient(theta, seen, weights)[0] - all;
      missing[positions[b].item<std::int64_t>()]
          .narrow(0, begin, end - begin)
          .copy_(change.narrow(0, begin, end - begin));
    }
    run.optimiser.update(moved, missing, run.moves(s));
  }
  return run.optimiser.part(moved, 0);
}

struct ByDifferences {
  at::Tensor plain, corrected;  // [N]: the trace's estimate, and with the differences of gradients
};

// The estimate of kink width h, k epochs back, and beside it what <q, g> does between theta and theta + m in
// place of what its derivative says.
ByDifferences by_differences(const RecordedSteps& run, at::Tensor direction, std::int64_t k, double h) {
  const std::int64_t first = run.steps - k * run.steps_per_epoch;
  at::Tensor u = at::zeros({1, run.optimiser.state_size(direction.size(0))}, at::kDouble);
  run.optimiser.model(u).copy_(direction);
  ByDifferences found{at::zeros({instances}, at::kDouble), at::zeros({instances}, at::kDouble)};
  for (std::int64_t t = run.steps - 1; t >= first; --t) {
    const at::Tensor positions = run.batch(t), theta = run.optimiser.part(run.state(t), 0);
    const Batch seen = make_batch(run.data, positions, run.seed, t, {0, batch}, run.game);
    const at::Tensor q = run.optimiser.pull_back(u, {run.state(t), run.state(t + 1), {}}, run.moves(t));
    const TracedStep traced = run.engine.trace(theta, seen, q, h);
    found.plain.index_add_(0, positions, traced.u_instance[0]);
    run.optimiser.part(u, 0).sub_(traced.u_jacobian);
    const at::Tensor moved = moved_states(run, first, t), all = theta + moved;
    const at::Tensor present = at::ones({instances, batch}, all.options());
    const at::Tensor change = run.engine.gradient(all, seen, present) -
                              run.engine.gradient(theta.unsqueeze(0), seen, present.narrow(0, 0, 1));
    found.corrected.sub_(change.matmul(q[0]) - moved.matmul(traced.u_jacobian[0]));
  }
  found.corrected.add_(found.plain);
  return found;
}

double correlation(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a - a.mean(), y = b - b.mean();
  return ((x * y).sum() / (x.norm() * y.norm())).item<double>();
}

at::Tensor counted(const MemoryRun& run, const at::Tensor& direction, std::int64_t k, double h) {
  TraceBack sweep(run.steps(), direction.unsqueeze(0), {{k}, {h}, {1}, {k}, {0, 0}},
                  Communicator(MPI_COMM_WORLD));
  while (!sweep.done()) sweep.step();
  EXPECT_GT(sweep.crossings_each()[0], 0.04) << "next to nothing crosses";
  return sweep.result()[0][0][0];
}

void expect_like_differences(const MemoryRun& run, double h) {
  const at::Tensor direction = normals({run.game->layout().size()}, 2);
  for (std::int64_t k = 1; k <= epochs; ++k) {
    const auto expected = by_differences(run.steps(), direction, k, width_beside_crossings(h, k));
    const at::Tensor found = counted(run, direction, k, h) - expected.plain,
                     truth = expected.corrected - expected.plain;
    EXPECT_GT(correlation(found, truth), 0.9999) << "k = " << k;
    EXPECT_LT(test::relative_difference(found, truth), 0.05) << "k = " << k;
  }
}

TEST(Crossings, OfADeepGanAreWhatDifferencesOfGradientsShow) {
  expect_like_differences(run_of(small_fcgan(Activation::relu, true), 3, 1e-2), 1e-2);
}

TEST(Crossings, OfLeakyUnitsAreOfTheirSmallerJump) {
  expect_like_differences(run_of(small_fcgan(Activation::leaky_relu, true), 3, 3e-3), 1e-2);
}

TEST(Crossings, OfAVaeReachFromTheEncoderIntoTheDecoder) {
  const auto vae = std::make_shared<Vae>(test::small_mlp_vae(Likelihood::bernoulli));
  expect_like_differences(run_of(vae, 12, 2e-4), 1e-3);
}

TEST(Crossings, FollowWhatMomentumMakesOfAUse) {
  for (const bool nesterov : {false, true}) {
    OptimiserOptions options;
    options.name = "momentum";
    options.momentum = 0.5;
    options.nesterov = nesterov;
    expect_like_differences(run_of(small_fcgan(Activation::relu, true), 3, 3e-3, options), 1e-2);
  }
}

TEST(Crossings, OfFloat32AreThoseOfItsParameters) {
  const MemoryRun run = run_of(small_fcgan(Activation::relu, true, at::kFloat), 3, 2e-3);
  MemoryRun wide = run_of(small_fcgan(Activation::relu, true), 3, 2e-3);
  for (std::size_t t = 0; t < wide.params.size(); ++t) wide.params[t] = run.params[t].to(at::kDouble);
  wide.data.instances = run.data.instances.all().to(at::kDouble);
  const at::Tensor direction = normals({run.game->layout().size()}, 2);
  const at::Tensor narrow =
      trace_back(run.steps(), direction.unsqueeze(0).to(at::kFloat), {{1}, {1e-2}, {1}, {1}, {0, 0}},
                 Communicator(MPI_COMM_WORLD), [](std::int64_t) {})[0][0][0];
  EXPECT_LT(test::relative_difference(narrow, counted(wide, direction, 1, 1e-2)), 1e-4);
}

// D of one input and two hidden units: the first is a hair from 0, and without instance 0 on the other side
// of it; the second is far from 0. Steps: instances {0, 1}, then {2, 3}.
void expect_one_units_crossings(double hair, double doubt, double trusted = 0) {
  const auto game = std::make_shared<Fcgan>(
      FcganOptions{1, 1, {1}, {2}, Activation::relu, Activation::linear, false, 0, at::kDouble});
  const AutogradEngine engine(game);
  const auto optimiser = make_optimiser({});
  const double weight = 0.8, rate = 0.05;
  const at::Tensor theta = at::tensor({1.0, 1.0, hair, 1.5, weight, -0.6}, at::kDouble);
  const Dataset data{at::tensor({2.0, -1.0, 3.0, -0.5}, at::kDouble).unsqueeze(1), {}, {0, 1, 2, 3}, {1}};
  const RecordedSteps run{*game,
                          engine,
                          data,
                          5,
                          2,
                          2,
                          [&](std::int64_t) { return theta; },
                          [](std::int64_t t) {
                            return at::tensor({2 * t, 2 * t + 1}, at::kLong);
                          },
                          [&](std::int64_t t) {
                            return Moves{{0, 2, rate, t}, {2, 6, rate, t}};
                          },
                          *optimiser};
  Crossings crossings(run, {1}, {}, {doubt, trusted}, Communicator(MPI_COMM_SELF));
  crossings.look_back(0, [](double) { return true; });
  const at::Tensor q = at::tensor({0.0, 0.0, 0.7, 0.0, 0.0, 0.0}, at::kDouble).unsqueeze(0);
  const at::Tensor influence = at::zeros({1, 1, 4}, at::kDouble), crossed = at::zeros({1}, at::kDouble);
  crossings.count(1, theta, q, influence, crossed);
  EXPECT_FALSE(crossings.settled());
  crossings.count(0, theta, q, influence, crossed);  // before any use: counts nothing of its own
  EXPECT_TRUE(crossings.settled());

  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto logit = [&](double x) {
    return weight * std::max(hair * x, 0.0) - 0.6 * std::max(1.5 * x, 0.0);
  };
  const at::Tensor latents = training_latents(5, 1, {0, 2}, 1, at::kDouble);
  double kappa = 0, count = 0;
  const auto add = [&](double x, double by_logit) {  // closes where x > 0, opens where x < 0
    kappa += (x > 0 ? 1 : -1) * 0.7 * x * weight * by_logit / 2;
    count += x != 0;
  };
  for (int row = 0; row < 2; ++row) {
    const double fake = std::max(latents[row][0].item<double>(), 0.0), real = row == 0 ? 3.0 : -0.5;
    add(fake, sigmoid(logit(fake)));
    add(real, -sigmoid(-logit(real)));
  }
  ASSERT_GE(count, 3) << "another seed, for a latent over 0";
  // Half an epoch has passed.
  const double move = -rate * sigmoid(-logit(2.0)) * weight * 2.0 / 2,
               deviation = doubt * (0.5 - trusted) * std::abs(move);
  const auto phi = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  const double share =
      doubt == 0 || trusted > 0.5 ? 1 : phi(hair / deviation) - phi((hair + move) / deviation);
  // Instance 0 pushed the unit up; instance 1, on which the unit was closed, did nothing to it.
  EXPECT_NEAR(influence[0][0][0].item<double>(), share * kappa, 1e-12);
  EXPECT_EQ(influence[0][0].narrow(0, 1, 3).abs().max().item<double>(), 0);
  EXPECT_NEAR(crossed[0].item<double>(), share * count, 1e-12);
}

TEST(Crossings, OfOneUnitAreCountedOnEverySampleWhoseSignItHas) {
  expect_one_units_crossings(1e-7, 0);
  expect_one_units_crossings(1e-7, 0.1, 1);  // trusted still
}

TEST(Crossings, AreMeansOverWhatIsDoubted) {
  for (const double doubt : {0.1, 1.0, 4.0}) {
    expect_one_units_crossings(0.01, doubt);
    expect_one_units_crossings(0.01, doubt, 0.2);
    expect_one_units_crossings(0.05, doubt);  // does not cross, but is near
  }
}

TEST(Crossings, ATraceBackGoesOnToTheSameBitsFromWhereItMayBeLeft) {
  const MemoryRun run = run_of(small_fcgan(Activation::relu, true), 3, 2e-3, {}, 2);
  const Communicator world(MPI_COMM_WORLD);
  const at::Tensor queries = normals({2, run.game->layout().size()}, 2);
  const TraceBackOptions options{{1, 2}, {0.0, 1e-2}, {1}, {1, 2}};
  TraceBack whole(run.steps(), queries, options, world);
  for (std::int64_t stop : {16, 24, 32}) {
    TraceBack begun(run.steps(), queries, options, world), rest(run.steps(), queries, options, world);
    while (begun.taken() + 1 < stop) begun.step();
    EXPECT_FALSE(begun.settled());
    EXPECT_THROW(begun.state(), std::logic_error);
    begun.step();
    EXPECT_TRUE(begun.settled());
    rest.restore(stop, begun.state());
    while (!rest.done()) rest.step();
    while (!whole.done()) whole.step();
    EXPECT_TRUE(rest.result().equal(whole.result())) << stop;
    EXPECT_EQ(rest.crossings_each(), whole.crossings_each());
    EXPECT_GT(rest.crossings_each()[0], 0.04);
  }
}

// One query has many steps in a pass, two hundred one; at the large rate all units are in reach, too many for
// that.
TEST(Crossings, AreThoseOfEachStepHoweverManyOnePassTakes) {
  const auto game = std::make_shared<Fcgan>(
      FcganOptions{3, 2, {7}, {64, 64, 64}, Activation::relu, Activation::linear, true, 0.01, at::kDouble});
  const at::Tensor query = normals({1, game->layout().size()}, 2);
  for (const double rate : {2e-3, 0.3}) {
    const MemoryRun run = run_of(game, 3, rate, {}, 4);
    const auto traced = [&](std::int64_t queries) {
      TraceBack sweep(run.steps(), query.repeat({queries, 1}), {{1}, {1e-3}, {1}, {1}},
                      Communicator(MPI_COMM_WORLD));
      while (!sweep.done()) sweep.step();
      EXPECT_GT(sweep.crossings_each()[0], 0.04);
      return sweep.result()[0];
    };
    const at::Tensor one = traced(1), many = traced(200);
    EXPECT_LT(test::relative_difference(many[0], one[0]), 1e-11) << rate;
    EXPECT_LT(test::relative_difference(many[199], one[0]), 1e-11) << rate;
  }
}

TEST(Crossings, LeaveWhatIsNotCountedAsItIs) {
  const MemoryRun run = run_of(small_fcgan(Activation::relu, true), 3, 2e-3);
  const Communicator world(MPI_COMM_WORLD);
  const at::Tensor queries = normals({3, run.game->layout().size()}, 2);
  const auto traced = [&](std::vector<std::int64_t> counted, std::int64_t groups) {
    return trace_back(run.steps(), queries, {{1, 2}, {0.0, 1e-2, 1e-3}, {groups}, std::move(counted)}, world,
                      [](std::int64_t) {});
  };
  const at::Tensor none = traced({}, 1), first = traced({1}, 1), both = traced({1, 2}, 1);
  EXPECT_TRUE(first[0].equal(none[0])) << "kink width 0";
  EXPECT_TRUE(first.select(2, 1).equal(none.select(2, 1))) << "k = 2";
  EXPECT_TRUE(both[0].equal(none[0]));
  EXPECT_GT(test::relative_difference(first[1].select(1, 0), none[1].select(1, 0)), 1e-3);
  EXPECT_LT(test::relative_difference(first.select(2, 0), both.select(2, 0)), 1e-13);
  EXPECT_TRUE(first[1].select(1, 0).equal(first[2].select(1, 0))) << "k = 1 has no width";
  EXPECT_LT(test::relative_difference(traced({1, 2}, std::min(world.size(), 3)), both), 1e-11);
}

TEST(Crossings, AreLeftOutWithAReason) {
  const MemoryRun smooth = run_of(small_fcgan(Activation::tanh, true), 3, 2e-3);
  EXPECT_EQ(crossings_left_out(smooth.steps()), "its units have no kinks");
  OptimiserOptions adam;
  adam.name = "adam";
  const MemoryRun scaled = run_of(small_fcgan(Activation::relu, true), 3, 2e-3, adam);
  EXPECT_NE(crossings_left_out(scaled.steps()).find("adam"), std::string::npos);
  const auto vae = std::make_shared<Vae>(test::small_conv_vae(Likelihood::squared));
  const MemoryRun images = run_of(vae, 128, 2e-4);
  EXPECT_NE(crossings_left_out(images.steps()).find("perceptrons"), std::string::npos);
  EXPECT_EQ(crossings_left_out(run_of(small_fcgan(Activation::relu, true), 3, 2e-3).steps()), "");
}

// A game with operations whose kinks nobody knows.
class OfUnknownKinks : public test::QuadraticGame {
 public:
  using QuadraticGame::QuadraticGame;
  std::vector<std::string> kinks_left_out() const override { return {"median"}; }
};

// A smooth one whose trace rounds otherwise at every width.
class RoundedOtherwise : public test::QuadraticGame {
 public:
  using QuadraticGame::QuadraticGame;
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch_of,
                                 const at::Tensor& weights, double kink_width) const override {
    auto losses = QuadraticGame::losses(tensors, batch_of, weights, kink_width);
    for (at::Tensor& loss : losses) loss = loss * (1 + kink_width * 1e-14);
    return losses;
  }
};

TEST(Kinks, AreKnownByTheirCurvatureOrAsLeftOutButNotByRounding) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    EXPECT_TRUE(has_kinks(run_of(small_fcgan(Activation::relu, true, dtype), 3, 2e-3).steps()));
    EXPECT_FALSE(has_kinks(run_of(small_fcgan(Activation::tanh, true, dtype), 3, 2e-3).steps()));
  }
  EXPECT_FALSE(has_kinks(run_of(std::make_shared<test::QuadraticGame>(3, true, 0.1), 3, 2e-3).steps()));
  EXPECT_FALSE(has_kinks(run_of(std::make_shared<RoundedOtherwise>(3, true, 0.1), 3, 2e-3).steps()));
  EXPECT_TRUE(has_kinks(run_of(std::make_shared<OfUnknownKinks>(3, true, 0.1), 3, 2e-3).steps()));
}

}  // namespace
}  // namespace whence
