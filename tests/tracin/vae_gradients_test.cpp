// VAE-TracIn's scores against explicit per-instance gradients from automatic differentiation.
#include "whence/tracin/vae_gradients.h"

#include <cmath>
#include <gtest/gtest.h>

#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/game/autograd_engine.h"
#include "whence/tracin/gradient_products.h"

#include "support/numbers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;

std::vector<at::Tensor> tensors_of(const Vae& vae, const at::Tensor& theta) {
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& view : vae.layout().views(theta.unsqueeze(0))) tensors.push_back(view[0]);
  return tensors;
}

at::Tensor theta_of(const Vae& vae) {
  return (vae.initial_parameters(3).to(at::kDouble) + 0.1 * normals({vae.layout().size()}, 4))
      .to(vae.dtype());
}

struct Inputs {
  at::Tensor x, noise;  // [n, d], [n, m, dz]
};

Inputs inputs(const Vae& vae, std::int64_t n, std::int64_t m, int seed) {
  return {normals({n, vae.encoder().input().values()}, seed).sigmoid().to(vae.dtype()),
          normals({n, m, vae.latent_size()}, seed + 1).to(vae.dtype())};
}

// The gradient [P] of -log P(x | xi) grad log Q(xi | x) and the rest of eq. (9), by automatic differentiation
// of a surrogate: what is not differentiated is detached.
at::Tensor score_function_gradient(const Vae& vae, const at::Tensor& theta, const at::Tensor& x,
                                   const at::Tensor& noise) {
  const at::Tensor leaf = theta.detach().clone().requires_grad_();
  const auto tensors = vae.layout().views(leaf.unsqueeze(0));
  const std::int64_t d = vae.latent_size();
  const at::Tensor code = vae.encoder().forward(tensors, x.unsqueeze(0), 0)[0];
  const at::Tensor mu = code.narrow(1, 0, d), v = code.narrow(1, d, d);
  const at::Tensor xi = (mu + (v * 0.5).exp() * noise).detach();
  const at::Tensor logits = vae.decoder().forward(tensors, xi, 0)[0];
  const at::Tensor rec = reconstruction_loss(vae.options().likelihood, logits, x);
  const at::Tensor log_q = (-(xi - mu).square() / (2 * v.exp()) - v * 0.5).sum(1);
  const at::Tensor loss =
      (rec + rec.detach() * log_q).mean() + vae.options().beta * kl_to_normal(mu, v).mean();
  return torch::autograd::grad({loss}, {leaf})[0];
}

// [n, P]: one backward pass an instance, with m rows of the game's own loss.
at::Tensor explicit_gradients(const std::shared_ptr<const Vae>& vae, const at::Tensor& theta,
                              const Inputs& in, const GradientOptions& options) {
  VaeOptions other = vae->options();
  // (SE + c beta KL) / (12,288 c): the squared error alone is divided by the channels c.
  const double channels = other.instance.height > 1 ? static_cast<double>(other.instance.channels) : 1;
  if (options.loss == TracinLoss::scoring) {
    other.likelihood = Likelihood::squared;
    other.beta *= channels;
  }
  const auto game = std::make_shared<Vae>(other);
  const AutogradEngine engine(game);
  const std::int64_t m = options.samples;
  std::vector<at::Tensor> all;
  for (std::int64_t i = 0; i < in.x.size(0); ++i) {
    const at::Tensor copies = in.x[i].expand({m, -1}).contiguous();
    const at::Tensor gradient = options.latent == LatentGradient::score_function
                                    ? score_function_gradient(*game, theta, copies, in.noise[i])
                                    : engine.gradient(theta.unsqueeze(0), {copies, in.noise[i], m},
                                                      at::ones({1, m}, theta.options()))[0];
    all.push_back(options.loss == TracinLoss::scoring ? gradient / (scoring_divisor * channels) : gradient);
  }
  return at::stack(all);
}

// 1 for the parameters of the last layers of encoder and decoder.
at::Tensor mask_of(const Vae& vae, std::int64_t last_layers) {
  at::Tensor mask = at::zeros({vae.layout().size()}, at::kDouble);
  for (const Network* network : {&vae.encoder(), &vae.decoder()})
    for (std::size_t l = 0; l < network->stages().size(); ++l)
      if (last_layers == 0 || l + static_cast<std::size_t>(last_layers) >= network->stages().size())
        for (const std::size_t place : {network->stages()[l].first, network->stages()[l].first + 1}) {
          const ParameterSpec& spec = vae.layout().specs()[place];
          mask.narrow(0, spec.offset, spec.size()).fill_(1);
        }
  return mask.to(vae.dtype());
}

struct Scores {
  at::Tensor products, norms;  // [Q, n], [n]
  bool grams = false, made = false, sums = false;
};

Scores scores_of(const Vae& vae, const at::Tensor& theta, const Inputs& queries, const Inputs& instances,
                 const GradientOptions& options) {
  const auto tensors = tensors_of(vae, theta);
  const auto extents = gradient_extents(vae, options);
  const std::int64_t q = queries.x.size(0), n = instances.x.size(0);
  QueryGradients kept(extents, q);
  // Queries in two pieces.
  for (const auto& [first, end] : {std::pair<std::int64_t, std::int64_t>{0, q / 2}, {q / 2, q}})
    if (first < end)
      take_gradients(vae, tensors, queries.x.slice(0, first, end), queries.noise.slice(0, first, end),
                     options, [&, begin = first](std::size_t l, const LayerGradients& gradients) {
                       kept.put(l, begin, gradients);
                     });
  Scores scores{at::zeros({q, n}, at::kDouble), at::zeros({n}, at::kDouble)};
  take_gradients(vae, tensors, instances.x, instances.noise, options,
                 [&](std::size_t l, const LayerGradients& gradients) {
                   kept.add_products(l, gradients, scores.products);
                   add_squared_norms(gradients, scores.norms);
                   EXPECT_EQ(gradients.bias.size(1), extents[l].bias);
                   if (gradients.sums.defined()) {
                     scores.sums = true;
                     EXPECT_EQ(gradients.sums.size(1), extents[l].left * extents[l].right);
                     return;
                   }
                   EXPECT_EQ(gradients.left.size(1), extents[l].rows);
                   EXPECT_EQ(gradients.left.size(2), extents[l].left);
                   EXPECT_EQ(gradients.right.size(2), extents[l].right);
                 });
  for (const LayerExtent& layer : extents)
    (cheaper_form(layer, q) == ProductForm::gram ? scores.grams : scores.made) = true;
  return scores;
}

double check(const VaeOptions& vae_options, std::int64_t q, const GradientOptions& options, Scores& seen) {
  const auto vae = std::make_shared<Vae>(vae_options);
  const at::Tensor theta = theta_of(*vae), mask = mask_of(*vae, options.last_layers);
  const Inputs queries = inputs(*vae, q, options.samples, 10),
               instances = inputs(*vae, 11, options.samples, 20);
  const Scores scores = scores_of(*vae, theta, queries, instances, options);
  const at::Tensor of_queries = explicit_gradients(vae, theta, queries, options) * mask;
  const at::Tensor of_instances = explicit_gradients(vae, theta, instances, options) * mask;
  seen.grams = seen.grams || scores.grams;
  seen.made = seen.made || scores.made;
  seen.sums = seen.sums || scores.sums;
  return std::max(relative_difference(scores.products, of_queries.mm(of_instances.t()).to(at::kDouble)),
                  relative_difference(scores.norms, of_instances.square().sum(1).to(at::kDouble)));
}

TEST(VaeGradients, ScoresAreThoseOfExplicitGradients) {
  for (const bool conv : {false, true})
    for (const Likelihood likelihood : {Likelihood::bernoulli, Likelihood::squared}) {
      Scores seen;
      for (const std::int64_t samples : {1, 16})
        for (const LatentGradient latent : {LatentGradient::reparameterised, LatentGradient::score_function})
          for (const TracinLoss loss : {TracinLoss::training, TracinLoss::scoring})
            for (const std::int64_t last : {0, 1, 2})
              for (const std::int64_t q : {1, 40}) {
                const auto made = conv ? test::small_conv_vae : test::small_mlp_vae;
                const GradientOptions options{loss, latent, samples, last};
                EXPECT_LT(check(made(likelihood, at::kDouble), q, options, seen), 1e-10)
                    << conv << " m " << samples << " last " << last << " queries " << q;
              }
      EXPECT_TRUE(seen.grams && seen.made) << "a form of the product was never taken";
      EXPECT_EQ(seen.sums, conv) << "gradients of convolutions were to be added up at once";
    }
}

TEST(VaeGradients, HiddenLayersMayHaveAnyActivation) {
  for (const Activation inside :
       {Activation::leaky_relu, Activation::tanh, Activation::sigmoid, Activation::linear}) {
    VaeOptions options = mlp_vae(12, {9, 7}, 3, inside);
    options.dtype = at::kDouble;
    Scores seen;
    EXPECT_LT(check(options, 3, {TracinLoss::training, LatentGradient::reparameterised, 4, 0}, seen), 1e-10);
  }
}

TEST(VaeGradients, Float32AgreesToSinglePrecision) {
  Scores seen;
  EXPECT_LT(check(test::small_mlp_vae(Likelihood::bernoulli, at::kFloat), 5, {}, seen), 1e-4);
  EXPECT_LT(check(test::small_conv_vae(Likelihood::squared, at::kFloat), 5, {}, seen), 1e-4);
}

TEST(VaeGradients, ThePublishedNetworksAgreeWithExplicitGradients) {
  Scores seen;
  VaeOptions conv = conv_vae(8), mlp = mlp_vae(49, {32, 16, 8}, 4);
  conv.dtype = mlp.dtype = at::kDouble;
  EXPECT_LT(check(mlp, 3, {TracinLoss::training, LatentGradient::reparameterised, 16, 0}, seen), 1e-10);
  EXPECT_LT(check(conv, 2, {TracinLoss::training, LatentGradient::reparameterised, 2, 0}, seen), 1e-10);
}

// By hand, with theta = 0 but for the encoder's last biases b = 1 for the mean: logits 0, so each of the
// 12,288 numbers of a black image has the error 1/2; KL = d / 2. The published loss is (12,288 / 4 / 3 + beta
// d / 2) / 12,288, its gradient by the decoder's last bias 4,096 pixels of 2 (1/2) (1/4) / 3 / 12,288 = 1/36,
// and by the encoder's biases beta / 12,288.
TEST(VaeGradients, TheScoringLossDividesTheErrorOfColoursByThree) {
  VaeOptions options = conv_vae(4);
  options.dtype = at::kDouble;
  options.beta = 2;
  const auto vae = std::make_shared<Vae>(options);
  at::Tensor theta = at::zeros({vae->layout().size()}, at::kDouble);
  const ParameterSpec& bias = vae->layout().specs()[vae->encoder().stages().back().first + 1];
  theta.narrow(0, bias.offset, 4).fill_(1);
  std::vector<at::Tensor> biases;
  const GradientOptions scoring{TracinLoss::scoring, LatentGradient::reparameterised, 3, 1};
  const at::Tensor losses =
      take_gradients(*vae, tensors_of(*vae, theta), at::zeros({1, 12288}, at::kDouble), normals({1, 3, 4}, 1),
                     scoring, [&](std::size_t, const LayerGradients& part) { biases.push_back(part.bias); });
  EXPECT_NEAR(losses[0].item<double>(), 1.0 / 12 + 2 * 4 / 2 / 12288.0, 1e-14);
  ASSERT_EQ(biases.size(), 2u);  // of the decoder, then of the encoder
  for (std::int64_t c = 0; c < 3; ++c) EXPECT_NEAR(biases[0][0][c].item<double>(), 1.0 / 36, 1e-14);
  for (std::int64_t i = 0; i < 8; ++i)
    EXPECT_NEAR(biases[1][0][i].item<double>(), i < 4 ? 2 / 12288.0 : 0, 1e-16);
}

TEST(VaeGradients, LossesAreTheGames) {
  const auto vae = std::make_shared<Vae>(test::small_conv_vae(Likelihood::bernoulli));
  const at::Tensor theta = theta_of(*vae);
  const Inputs in = inputs(*vae, 3, 5, 10);
  const GradientOptions options{TracinLoss::training, LatentGradient::reparameterised, 5, 0};
  const at::Tensor losses = take_gradients(*vae, tensors_of(*vae, theta), in.x, in.noise, options,
                                           [](std::size_t, const LayerGradients&) {});
  for (std::int64_t i = 0; i < 3; ++i) {
    const Batch copies{in.x[i].expand({5, -1}).contiguous(), in.noise[i], 5};
    const at::Tensor expected =
        vae->losses(vae->layout().views(theta.unsqueeze(0)), copies, at::ones({1, 5}, at::kDouble), 0)[0][0];
    EXPECT_NEAR(losses[i].item<double>(), expected.item<double>(), 1e-11);
  }
}

// [rows, P] gradients of one instance, each with m fresh samples.
at::Tensor repeated_gradients(const Vae& vae, const at::Tensor& theta, const at::Tensor& x, std::int64_t rows,
                              const GradientOptions& options, int seed) {
  std::vector<at::Tensor> parts(2 * gradient_extents(vae, options).size());
  take_gradients(vae, tensors_of(vae, theta), x.expand({rows, -1}).contiguous(),
                 normals({rows, options.samples, vae.latent_size()}, seed), options,
                 [&](std::size_t l, const LayerGradients& gradients) {
                   parts[2 * l] = at::bmm(gradients.left.transpose(1, 2), gradients.right).flatten(1);
                   parts[2 * l + 1] = gradients.bias;
                 });
  return at::cat(parts, 1);
}

TEST(VaeGradients, BothEstimatorsHaveOneExpectation) {
  const Vae vae(test::small_mlp_vae(Likelihood::bernoulli));
  const at::Tensor theta = theta_of(vae), x = inputs(vae, 1, 1, 10).x[0];
  constexpr std::int64_t rows = 4000;
  std::vector<at::Tensor> means, variances;
  for (const LatentGradient latent : {LatentGradient::reparameterised, LatentGradient::score_function}) {
    const at::Tensor gradients =
        repeated_gradients(vae, theta, x, rows, {TracinLoss::training, latent, 50, 0}, 77);
    means.push_back(gradients.mean(0));
    variances.push_back(gradients.var(0) / rows);
  }
  const at::Tensor z = (means[0] - means[1]) / (variances[0] + variances[1] + 1e-24).sqrt();
  EXPECT_LT(z.abs().max().item<double>(), 5);
  // The score function's noise is what it is known for.
  EXPECT_GT((variances[1].sum() / variances[0].sum()).item<double>(), 2);
}

// Theorem 1 of Kong and Chaudhuri: the error of a score falls as m^(-1/2).
TEST(VaeGradients, TheErrorOfAScoreFallsWithTheRootOfTheSamples) {
  const Vae vae(test::small_mlp_vae(Likelihood::bernoulli));
  const at::Tensor theta = theta_of(vae), x = inputs(vae, 2, 1, 10).x;
  const auto gradients = [&](std::int64_t i, std::int64_t rows, std::int64_t m, int seed) {
    return repeated_gradients(vae, theta, x[i], rows,
                              {TracinLoss::training, LatentGradient::reparameterised, m, 0}, seed);
  };
  const double truth =
      gradients(0, 500, 400, 1).mean(0).dot(gradients(1, 500, 400, 2).mean(0)).item<double>();
  std::vector<double> error;
  for (const std::int64_t m : {4, 16, 64, 256}) {
    const at::Tensor scores = (gradients(0, 400, m, 3) * gradients(1, 400, m, 4)).sum(1);
    error.push_back(std::sqrt((scores - truth).square().mean().item<double>()));
  }
  const double slope = std::log(error.back() / error.front()) / std::log(64.0);
  EXPECT_NEAR(slope, -0.5, 0.05);
  for (std::size_t i = 1; i < error.size(); ++i) EXPECT_NEAR(error[i - 1] / error[i], 2, 0.5);
}

}  // namespace
}  // namespace whence
