// What a device computes against the CPU: steps and traces of every game, metrics, densities, the trajectory.
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include <ATen/Context.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/device/backend.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/classifier.h"
#include "whence/game/dcgan.h"
#include "whence/game/fcgan.h"
#include "whence/game/native_engine.h"
#include "whence/game/recorded_engine.h"
#include "whence/game/trained_classifier.h"
#include "whence/metric/kernel_density.h"
#include "whence/metric/metric.h"
#include "whence/optimise/optimiser.h"
#include "whence/train/finite_watch.h"
#include "whence/train/step.h"
#include "whence/train/trajectory/reader.h"
#include "whence/train/trajectory/writer.h"

#include "io/folder.h"
#include "support/numbers.h"
#include "support/optimisers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;

class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    const VisibleDevices visible = visible_devices();
    if (visible.lines.empty()) GTEST_SKIP() << visible.reason;
    device = device_backend::use(0);
  }
  at::Device device = at::kCPU;
};

// Only the same bits every time, until destruction.
class AlwaysTheSame {
 public:
  AlwaysTheSame() { device_backend::use_deterministic_algorithms(); }
  ~AlwaysTheSame() { at::globalContext().setDeterministicAlgorithms(false, false); }
};

struct Case {
  std::shared_ptr<const Game> game;
  Batch batch;
};

std::shared_ptr<Fcgan> small_fcgan() {
  return std::make_shared<Fcgan>(
      FcganOptions{2, 3, {5, 4}, {6}, Activation::relu, Activation::linear, true, 0.01, at::kDouble});
}

std::shared_ptr<Dcgan> small_dcgan() {
  return std::make_shared<Dcgan>(DcganOptions{6, 2, 1e-3, at::kDouble});
}

std::shared_ptr<Classifier> small_classifier() {
  return std::make_shared<Classifier>(ClassifierOptions{28, 4, 3, 1e-3, at::kDouble});
}

std::vector<Case> cases() {
  const at::Tensor images = at::tanh(normals({5, 28 * 28}, 1)), labels = at::arange(5, at::kLong) % 4;
  const auto vae = [](const VaeOptions& options, std::int64_t width) {
    const at::Tensor x = at::tanh(normals({4, width}, 3)) * 0.5 + 0.5;
    return Case{std::make_shared<Vae>(options), {x, normals({4, 3}, 4), 4}};
  };
  return {{small_fcgan(), {normals({7, 2}, 1), normals({7, 3}, 2), 7}},
          {small_dcgan(), {images, normals({5, 6}, 2), 5}},
          {small_classifier(), {images, normals({5, 0}, 2), 5, true, labels}},
          vae(test::small_mlp_vae(Likelihood::bernoulli), 12),
          vae(test::small_conv_vae(Likelihood::squared), 128)};
}

Batch moved(Batch batch, at::Device device) {
  batch.instances = batch.instances.to(device);
  batch.latents = batch.latents.to(device);
  if (batch.labels.defined()) batch.labels = batch.labels.to(device);
  return batch;
}

// theta [rows, P] where no player is at rest.
at::Tensor some_params(const Game& game, std::int64_t rows) {
  return game.initial_parameters(1) + normals({rows, game.layout().size()}, 7) * 0.05;
}

TEST_F(OnDevice, GradientsAndTracesAreTheCpus) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.game->name());
    const AutogradEngine engine(c.game);
    const at::Tensor params = some_params(*c.game, 3), queries = normals({2, c.game->layout().size()}, 5);
    at::Tensor weights = at::ones({3, c.batch.instances.size(0)}, at::kDouble);
    weights[1][2] = 0;
    const Batch there = moved(c.batch, device);
    const at::Tensor gradient = engine.gradient(params.to(device), there, weights.to(device));
    EXPECT_EQ(gradient.device(), device);
    EXPECT_LT(relative_difference(gradient.cpu(), engine.gradient(params, c.batch, weights)), 1e-11);
    for (const double kink_width : {0.0, 0.1}) {
      const TracedStep here = engine.trace(params[0], c.batch, queries, kink_width),
                       traced = engine.trace(params[0].to(device), there, queries.to(device), kink_width);
      EXPECT_LT(relative_difference(traced.u_jacobian.cpu(), here.u_jacobian), 1e-10);
      EXPECT_LT(relative_difference(traced.u_instance.cpu(), here.u_instance), 1e-10);
    }
  }
}

// Also when results of earlier steps are looked at only later, and a step of other sizes comes between.
TEST_F(OnDevice, RecordedStepsAreTheSameBits) {
  const AlwaysTheSame same_algorithms;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.game->name());
    const auto plain = std::make_shared<AutogradEngine>(c.game);
    const RecordedEngine recorded(plain);
    const Batch batch = moved(c.batch, device);
    const at::Tensor weights = at::ones({2, c.batch.instances.size(0)}, at::kDouble).to(device);
    std::vector<at::Tensor> found, expected;
    for (int step = 0; step < 7; ++step) {
      Batch other = batch;
      other.instances = batch.instances * (1 + 0.01 * step);
      const at::Tensor params = (some_params(*c.game, 2) * (1 - 0.02 * step)).to(device),
                       queries = normals({2, c.game->layout().size()}, 5 + step).to(device),
                       present = step % 2 == 0 ? weights : weights * 0.5;
      const std::int64_t rows = step == 5 ? 1 : 2;
      for (const Engine* engine :
           {static_cast<const Engine*>(&recorded), static_cast<const Engine*>(plain.get())}) {
        std::vector<at::Tensor>& kept = engine == plain.get() ? expected : found;
        kept.push_back(engine->gradient(params.narrow(0, 0, rows), other, present.narrow(0, 0, rows)));
        const TracedStep traced = engine->trace(params[1], other, queries.narrow(0, 0, rows), 0.1);
        kept.push_back(traced.u_jacobian);
        kept.push_back(traced.u_instance);
      }
    }
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(at::equal(found[i].cpu(), expected[i].cpu())) << i;
  }
}

// An engine that looks at a number of every step, which cannot be recorded.
class LookingEngine : public AutogradEngine {
 public:
  using AutogradEngine::AutogradEngine;
  at::Tensor gradient(const at::Tensor& params, const Batch& batch,
                      const at::Tensor& weights) const override {
    const at::Tensor found = AutogradEngine::gradient(params, batch, weights);
    looked += std::isfinite(found[0][0].item<double>()) ? 1 : 0;
    return found;
  }
  mutable int looked = 0;
};

TEST_F(OnDevice, WhatCannotBeRecordedIsComputedAllTheSame) {
  const AlwaysTheSame same_algorithms;
  const Case c = cases().front();
  const auto looking = std::make_shared<LookingEngine>(c.game);
  const RecordedEngine recorded(looking);
  const Batch batch = moved(c.batch, device);
  const at::Tensor params = some_params(*c.game, 2).to(device),
                   weights = at::ones({2, c.batch.instances.size(0)}, at::kDouble).to(device);
  const at::Tensor expected = AutogradEngine(c.game).gradient(params, batch, weights).cpu();
  for (int step = 0; step < 6; ++step)
    EXPECT_TRUE(at::equal(recorded.gradient(params, batch, weights).cpu(), expected)) << step;
  EXPECT_GE(looking->looked, 6);
}

TEST_F(OnDevice, OnlyTheTorchEngineComputesThere) {
  const auto gan = small_fcgan();
  EXPECT_EQ(make_engine("auto", gan, device)->name(), "torch");
  EXPECT_THROW(make_engine("native", gan, device), UsageError);
}

// Steps, and queries on their way back through the last of them.
TEST_F(OnDevice, OptimisersAreTheCpus) {
  const at::Tensor params = normals({3, 8}, 1);
  at::Tensor gradient = normals({3, 8}, 2);
  gradient.select(1, 6).zero_();  // a second moment of 0
  for (const test::NamedOptimiser& one : test::every_optimiser()) {
    SCOPED_TRACE(one.name);
    const auto optimiser = make_optimiser(one.options);
    at::Tensor here = optimiser->initial_state(params), there = optimiser->initial_state(params.to(device));
    at::Tensor before;
    Moves moves{{0, 5, 0.1, 0}, {5, 8, 0.2, 0}};
    for (std::int64_t t = 0; t < 3; ++t) {
      moves[0].rate = t == 1 ? 0 : 0.1;
      before = here.clone();
      optimiser->update(here, gradient, moves);
      optimiser->update(there, gradient.to(device), moves);
      moves[0].taken += t == 1 ? 0 : 1;
      moves[1].taken += 1;
    }
    EXPECT_LT(relative_difference(there.cpu(), here), 1e-14);
    moves[0].taken = 1;
    moves[1].taken = 2;
    at::Tensor u = normals({2, here.size(1)}, 4), u_there = u.to(device);
    const TakenStep step{before[0], here[0], gradient[0]},
        step_there{before[0].to(device), here[0].to(device), gradient[0].to(device)};
    const at::Tensor q = optimiser->pull_back(u, step, moves),
                     q_there = optimiser->pull_back(u_there, step_there, moves);
    EXPECT_LT(relative_difference(q_there.cpu(), q), 1e-12);
    EXPECT_LT(relative_difference(u_there.cpu(), u), 1e-12);
    const at::Tensor near = optimiser->near_zero(here[0], moves);
    if (near.defined()) {
      EXPECT_TRUE(optimiser->near_zero(here[0].to(device), moves).cpu().equal(near));
    }
  }
}

TEST_F(OnDevice, MetricsAndTheirGradientsAreTheCpus) {
  const Communicator self(MPI_COMM_SELF);
  const auto judge = small_classifier();
  // Three times the usual spread: with a classifier that hardly tells images apart, log IS is a millionth.
  const TrainedClassifier classifier{judge, 3 * some_params(*judge, 1)[0]};
  const auto compare = [&](const std::shared_ptr<const Game>& game, const std::vector<std::string>& names,
                           const at::Tensor& held_out, const at::Tensor& latents) {
    const auto here =
        make_metrics(names, game, {held_out, latents, std::make_shared<TrainedClassifier>(classifier)});
    const auto there = make_metrics(
        names, game,
        {held_out.to(device), latents.to(device),
         std::make_shared<TrainedClassifier>(TrainedClassifier{judge, classifier.params.to(device)})});
    const at::Tensor params = some_params(*game, 2);
    for (std::size_t m = 0; m < names.size(); ++m) {
      SCOPED_TRACE(names[m]);
      EXPECT_LT(relative_difference(there[m]->value(params.to(device)), here[m]->value(params)), 1e-10);
      EXPECT_LT(relative_difference(there[m]->gradient(params[0].to(device), self).cpu(),
                                    here[m]->gradient(params[0], self)),
                1e-8);
    }
  };
  compare(small_fcgan(), {"all", "gen-loss", "disc-loss"}, normals({40, 2}, 8), normals({40, 3}, 9));
  compare(small_dcgan(), {"is", "log-is", "fid", "disc-loss"}, at::tanh(normals({200, 28 * 28}, 8)),
          normals({200, 6}, 9));
}

// The native kernels and LibTorch's operations share no code.
TEST_F(OnDevice, DensitiesAndTheirDerivativesAreTheCpus) {
  const at::Tensor points = normals({70, 3}, 1) + 50, centres = 2 * normals({31, 3}, 2) + 50;
  const KernelDensity here(points), there(points.to(device));
  EXPECT_LT(relative_difference(there.log_density(centres.to(device)).cpu(), here.log_density(centres)),
            1e-12);
  const Range own{5, 66};
  EXPECT_LT(
      relative_difference(there.by_centres(centres.to(device), own).cpu(), here.by_centres(centres, own)),
      1e-11);
}

TEST_F(OnDevice, AWatchNamesTheFirstBadStepWhenItAsks) {
  FiniteWatch watch({{0, 3}, {3, 5}}, [](std::int64_t t, std::int64_t row, std::int64_t part) {
    return fmt::format("step {} row {} part {}", t, row, part);
  });
  at::Tensor values = normals({4, 5}, 1).to(device);
  for (std::int64_t t = 100; t < 100 + FiniteWatch::patience; ++t) watch.see(values, t);
  watch.check();
  watch.see(values, 200);
  values[3][1] = std::nan("");
  watch.see(values, 201);
  values[2][4] = std::numeric_limits<double>::infinity();
  EXPECT_NO_THROW(watch.see(values, 202));
  try {
    watch.check();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "step 201 row 3 part 0");
  }
}

// `steps` steps, all but some of them recorded; theta moves in place, as in training.
std::string written(const std::string& path, std::int64_t steps, at::Device device) {
  TrajectoryPlan plan{{{"settings", "x"}}, steps, 5, 3, 2, at::kDouble, {}, {0, 1, 2, 3}};
  for (std::int64_t t = 0; t <= steps; ++t)
    if (t % 7 != 0 || t == steps) plan.recorded.push_back(t);
  const Communicator self(MPI_COMM_SELF);
  TrajectoryWriter writer(path, plan, self, device);
  at::Tensor theta = normals({5}, 1).to(device);
  for (std::int64_t t = 0; t < steps; ++t) {
    writer.record(t, theta, at::tensor({t % 4, (t + 1) % 4, (t + 2) % 4}, at::kLong),
                  at::tensor({0.1, 0.2}, at::kDouble));
    theta.mul_(1.01).add_(0.3);
  }
  writer.finish(theta);
  return testing::bytes_of(path);
}

TEST_F(OnDevice, ATrajectoryIsWrittenToTheSameBytes) {
  const std::string folder = testing::new_folder();
  for (const std::int64_t steps : {1, 63, 64, 65, 128, 200})
    EXPECT_TRUE(written(fmt::format("{}/cpu{}", folder, steps), steps, at::kCPU) ==
                written(fmt::format("{}/device{}", folder, steps), steps, device))
        << steps;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace whence
