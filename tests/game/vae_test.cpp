// The beta-VAE: its loss written out, its gradient and trace by finite differences, replicas by themselves.
#include <cmath>
#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include "whence/game/autograd_engine.h"

#include "support/numbers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;

constexpr std::int64_t rows = 4;

Batch batch_for(const Vae& vae, int seed) {
  const at::Tensor points = normals({rows, vae.encoder().input().values()}, seed).sigmoid();
  return {points.to(vae.dtype()), normals({rows, vae.latent_size()}, seed + 1).to(vae.dtype()), rows};
}

std::vector<VaeOptions> all_vaes(at::ScalarType dtype = at::kDouble) {
  return {test::small_mlp_vae(Likelihood::bernoulli, dtype), test::small_mlp_vae(Likelihood::squared, dtype),
          test::small_conv_vae(Likelihood::bernoulli, dtype),
          test::small_conv_vae(Likelihood::squared, dtype)};
}

// theta with biases that are not 0.
at::Tensor theta_of(const Vae& vae, int seed) {
  return (vae.initial_parameters(seed).to(at::kDouble) + 0.1 * normals({vae.layout().size()}, seed + 50))
      .to(vae.dtype());
}

at::Tensor loss_at(const Vae& vae, const at::Tensor& theta, const Batch& batch) {
  return vae.losses(vae.layout().views(theta.unsqueeze(0)), batch, at::ones({1, rows}, theta.options()),
                    0)[0][0];
}

// One element after another, in plain arithmetic.
double written_out(const Vae& vae, const at::Tensor& theta, const Batch& batch) {
  const auto value = [&](const std::string& name, std::int64_t i) {
    for (const ParameterSpec& spec : vae.layout().specs())
      if (spec.name == name) return theta[spec.offset + i].item<double>();
    throw std::runtime_error(name);
  };
  const auto run = [&](const std::string& stack, std::size_t layers, std::vector<double> x) {
    for (std::size_t l = 0; l < layers; ++l) {
      const std::string name = stack + "." + std::to_string(l);
      const std::int64_t out = (stack == "encoder" ? vae.options().encoder : vae.options().decoder)[l].out;
      std::vector<double> y;
      for (std::int64_t o = 0; o < out; ++o) {
        double sum = value(name + ".bias", o);
        for (std::size_t i = 0; i < x.size(); ++i)
          sum += value(name + ".weight",
                       o * static_cast<std::int64_t>(x.size()) + static_cast<std::int64_t>(i)) *
                 x[i];
        y.push_back(l + 1 < layers ? std::max(0.0, sum) : sum);
      }
      x = y;
    }
    return x;
  };
  double total = 0;
  for (std::int64_t j = 0; j < rows; ++j) {
    std::vector<double> x, z;
    for (std::int64_t i = 0; i < batch.instances.size(1); ++i)
      x.push_back(batch.instances[j][i].item<double>());
    const auto code = run("encoder", 3, x);
    for (std::size_t i = 0; i < 3; ++i) {
      const double mu = code[i], v = code[3 + i];
      z.push_back(mu + std::exp(v / 2) * batch.latents[j][static_cast<std::int64_t>(i)].item<double>());
      total += 0.5 * vae.options().beta * (mu * mu + std::exp(v) - v - 1);
    }
    const auto logits = run("decoder", 3, z);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double p = 1 / (1 + std::exp(-logits[i]));
      // -log p and -log(1 - p), without the cancellation where p is near 1 or 0.
      const double not_one = std::log1p(std::exp(-logits[i])), not_zero = std::log1p(std::exp(logits[i]));
      total += vae.options().likelihood == Likelihood::squared ? (p - x[i]) * (p - x[i])
                                                               : x[i] * not_one + (1 - x[i]) * not_zero;
    }
  }
  return total / rows;
}

TEST(Vae, ThePerceptronsLossIsWhatIsWrittenInTheHeader) {
  for (const Likelihood likelihood : {Likelihood::bernoulli, Likelihood::squared}) {
    const Vae vae(test::small_mlp_vae(likelihood));
    const at::Tensor theta = theta_of(vae, 3);
    const Batch batch = batch_for(vae, 5);
    EXPECT_NEAR(loss_at(vae, theta, batch).item<double>(), written_out(vae, theta, batch), 1e-12);
  }
}

TEST(Vae, GradientAndTraceAgreeWithFiniteDifferences) {
  for (const VaeOptions& options : all_vaes()) {
    const auto vae = std::make_shared<Vae>(options);
    const AutogradEngine engine(vae);
    const at::Tensor theta = theta_of(*vae, 3), everyone = at::ones({1, rows}, at::kDouble);
    const Batch batch = batch_for(*vae, 5);
    const at::Tensor u = normals({theta.size(0)}, 8);
    const auto gradient = [&](const at::Tensor& at, const at::Tensor& weights) {
      return engine.gradient(at.unsqueeze(0), batch, weights)[0];
    };
    constexpr double h = 1e-6;
    const double slope =
        ((loss_at(*vae, theta + h * u, batch) - loss_at(*vae, theta - h * u, batch)) / (2 * h))
            .item<double>();
    EXPECT_NEAR(slope, gradient(theta, everyone).dot(u).item<double>(), 1e-6 * std::abs(slope))
        << options.name;

    const TracedStep traced = engine.trace(theta, batch, u.unsqueeze(0), 0);
    const at::Tensor curvature =
        (gradient(theta + h * u, everyone) - gradient(theta - h * u, everyone)) / (2 * h);
    EXPECT_LT(relative_difference(traced.u_jacobian[0], curvature), 1e-5) << options.name;
    for (std::int64_t j = 0; j < rows; ++j) {
      at::Tensor without = everyone.clone();
      without[0][j] = 0;
      const at::Tensor change = gradient(theta, everyone) - gradient(theta, without);
      EXPECT_NEAR(traced.u_instance[0][j].item<double>(), change.dot(u).item<double>(), 1e-10)
          << options.name;
    }
  }
}

TEST(Vae, AReplicaDoesNotDependOnTheOthersBitForBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble})
    for (const VaeOptions& options : all_vaes(dtype)) {
      const auto vae = std::make_shared<Vae>(options);
      const AutogradEngine engine(vae);
      const at::Tensor params = at::stack({theta_of(*vae, 1), theta_of(*vae, 2), theta_of(*vae, 3)});
      const at::Tensor weights = at::ones({3, rows}, params.options());
      const Batch batch = batch_for(*vae, 5);
      const at::Tensor together = engine.gradient(params, batch, weights);
      for (std::int64_t r = 0; r < 3; ++r)
        EXPECT_TRUE(test::same_bits(
            together[r], engine.gradient(params.narrow(0, r, 1), batch, weights.narrow(0, r, 1))[0]))
            << options.name << " replica " << r;
    }
}

TEST(Vae, StartsFromHeNormalKernelsAndPyTorchsTransposedConvolutions) {
  VaeOptions options = conv_vae(64);
  options.dtype = at::kDouble;
  const Vae vae(options);
  const at::Tensor theta = vae.initial_parameters(4);
  for (const ParameterSpec& spec : vae.layout().specs()) {
    const at::Tensor values = theta.narrow(0, spec.offset, spec.size());
    const bool transposed = spec.name.rfind("decoder", 0) == 0 && spec.name.rfind("decoder.0", 0) != 0;
    if (!transposed && !spec.is_kernel) {
      EXPECT_EQ(values.abs().max().item<double>(), 0) << spec.name;
      continue;
    }
    if (spec.size() < 1000) continue;
    // torch.nn.init: fan_in of a transposed convolution [in, out, k, k] is out k^2; of others in k^2.
    const double fan_in = static_cast<double>(spec.size()) / static_cast<double>(spec.shape[0]);
    const double variance = transposed ? 1 / (3 * fan_in) : 2 / fan_in;
    EXPECT_NEAR(values.square().mean().item<double>() / variance, 1, 6 * std::sqrt(2.0 / spec.size()))
        << spec.name;
    EXPECT_EQ(values.abs().max().item<double>() <= 1 / std::sqrt(fan_in), transposed) << spec.name;
  }
}

}  // namespace
}  // namespace whence
