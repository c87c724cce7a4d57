// Metrics' values against independent formulas and SciPy, their gradients against finite differences.
#include "whence/metric/metric.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/game/fcgan.h"
#include "whence/game/vae.h"
#include "whence/metric/average_log_likelihood.h"
#include "whence/metric/generated.h"

#include "metric/scipy_golden.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::congruential;
using test::normals;
using test::relative_difference;

std::shared_ptr<const Fcgan> make_gan(Activation hidden, at::ScalarType dtype = at::kDouble) {
  return std::make_shared<Fcgan>(FcganOptions{2, 3, {4}, {5}, hidden, Activation::linear, true, 0.2, dtype});
}

Validation make_validation(at::ScalarType dtype = at::kDouble) {
  return {normals({11, 2}, 1).to(dtype), normals({11, 3}, 2).to(dtype)};
}

at::Tensor some_params(const Game& game, std::int64_t replicas) {
  return (normals({replicas, game.layout().size()}, 3) * 0.5).to(game.dtype());
}

TEST(KernelLogDensity, EqualsSciPys) {
  for (const test::KernelCase& c : test::kernel_cases) {
    const at::Tensor points = congruential(c.points, c.width, 1, c.scale) + c.shift;
    const at::Tensor centres = congruential(c.centres, c.width, 2, c.scale) + c.shift;
    const at::Tensor density = KernelDensity(points).log_density(centres);
    EXPECT_NEAR(density[0].item<double>(), c.first, 1e-12 * std::abs(c.first));
    EXPECT_NEAR(density.mean().item<double>(), c.mean, 1e-12 * std::abs(c.mean));
  }
}

class EveryMetric : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryMetric, GradientIsTheDerivativeOfTheValue) {
  const Communicator world(MPI_COMM_WORLD);
  for (const Activation hidden : {Activation::tanh, Activation::relu}) {
    const auto gan = make_gan(hidden);
    const auto metric = make_metrics({GetParam()}, gan, make_validation()).front();
    const at::Tensor theta = some_params(*gan, 1)[0];
    at::Tensor expected = at::empty_like(theta);
    const double step = 1e-6;
    for (std::int64_t i = 0; i < theta.numel(); ++i) {
      at::Tensor moved = theta.repeat({2, 1});
      moved[0][i] += step;
      moved[1][i] -= step;
      const at::Tensor values = metric->value(moved);
      expected[i].copy_((values[0] - values[1]) / (2 * step));
    }
    const Evaluation at_once = metric->evaluate(theta, world);
    EXPECT_LT(relative_difference(at_once.gradient, expected), 1e-8);
    EXPECT_EQ(at_once.value, metric->value(theta.unsqueeze(0))[0].item<double>());
  }
}

TEST_P(EveryMetric, TellsHowFarAnEvaluationIs) {
  const auto gan = make_gan(Activation::relu);
  const bool loss = std::string(GetParam()).find("loss") != std::string::npos;
  const Validation many{normals({loss ? 6000 : 100, 2}, 1), normals({loss ? 6000 : 100, 3}, 2)};
  const auto metric = make_metrics({GetParam()}, gan, many).front();
  std::vector<double> shares{0};
  metric->evaluate(some_params(*gan, 1)[0], Communicator(MPI_COMM_WORLD),
                   [&](double share) { shares.push_back(share); });
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1);
  EXPECT_LT(shares[1], 1);
  EXPECT_GT(shares.size(), loss ? 5u : 2u);
}

TEST_P(EveryMetric, ValueOfAReplicaDoesNotDependOnTheOthers) {
  const auto gan = make_gan(Activation::relu);
  const auto metric = make_metrics({GetParam()}, gan, make_validation()).front();
  const at::Tensor params = some_params(*gan, 5), together = metric->value(params);
  for (std::int64_t r = 0; r < 5; ++r)
    EXPECT_EQ(together[r].item<double>(), metric->value(params.narrow(0, r, 1))[0].item<double>());
}

TEST_P(EveryMetric, Float32AgreesWithFloat64) {
  const auto wide = make_gan(Activation::relu), narrow = make_gan(Activation::relu, at::kFloat);
  const at::Tensor params = some_params(*wide, 2);
  const at::Tensor expected = make_metrics({GetParam()}, wide, make_validation()).front()->value(params);
  const at::Tensor actual =
      make_metrics({GetParam()}, narrow, make_validation(at::kFloat)).front()->value(params.to(at::kFloat));
  EXPECT_EQ(actual.scalar_type(), at::kDouble);
  EXPECT_LT(relative_difference(actual, expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, EveryMetric, ::testing::Values("all", "disc-loss", "gen-loss"));

TEST(LossMetric, IsTheMeanLossWithoutPenalty) {
  const auto gan = make_gan(Activation::relu);
  const Validation validation = make_validation();
  const at::Tensor params = some_params(*gan, 1);
  const auto tensors = gan->layout().views(params);
  const at::Tensor fake = gan->logits(tensors, gan->generate(tensors, validation.latents, 0), 0)[0];
  const at::Tensor real = gan->logits(tensors, validation.held_out, 0)[0];
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  double generator = 0, discriminator = 0;
  for (std::int64_t i = 0; i < 11; ++i) {
    generator += softplus(-fake[i].item<double>()) / 11;
    discriminator += (softplus(-real[i].item<double>()) + softplus(fake[i].item<double>())) / 11;
  }
  const auto metrics = make_metrics({"gen-loss", "disc-loss"}, gan, validation);
  EXPECT_NEAR(metrics[0]->value(params)[0].item<double>(), generator, 1e-13);
  EXPECT_NEAR(metrics[1]->value(params)[0].item<double>(), discriminator, 1e-13);
}

// More points than one chunk holds.
TEST(PullBack, ChunksAddUpToTheWhole) {
  const auto gan = make_gan(Activation::tanh);
  const at::Tensor theta = some_params(*gan, 1)[0], latents = normals({5000, 3}, 6),
                   by = normals({5000, 2}, 7);
  const at::Tensor whole = pull_back_samples(*gan, theta, latents, by);
  at::Tensor parts = pull_back_samples(*gan, theta, latents.narrow(0, 0, 1234), by.narrow(0, 0, 1234));
  parts += pull_back_samples(*gan, theta, latents.narrow(0, 1234, 3766), by.narrow(0, 1234, 3766));
  EXPECT_LT(relative_difference(parts, whole), 1e-13);
  EXPECT_EQ(generated(*gan, theta, latents).size(0), 5000);
}

TEST(MakeMetrics, RefusesAnUnknownNameAndSaysWhichTheGameHas) {
  const auto refusal = [](const std::string& name, const std::shared_ptr<const Game>& game) -> std::string {
    try {
      make_metrics({name}, game, make_validation());
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal("accuracy", make_gan(Activation::relu)),
            "--metric: 'accuracy' is not all, is, log-is, fid, gen-loss or disc-loss");
  EXPECT_EQ(refusal("accuracy", std::make_shared<Vae>(test::small_mlp_vae(Likelihood::bernoulli))),
            "--metric: 'accuracy' is not loss or loss:0");
  EXPECT_EQ(refusal("accuracy", std::make_shared<test::QuadraticGame>(3, false, 0)),
            "--metric: 'accuracy' is not first-loss or second-loss");
}

}  // namespace
}  // namespace whence
