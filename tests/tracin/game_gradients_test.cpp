// TracIn by a game's engine, against explicit gradients of each instance's term by automatic differentiation,
// and against the fast way of VAEs.
#include "whence/tracin/game_gradients.h"

#include <algorithm>
#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/game/autograd_engine.h"
#include "whence/game/fcgan.h"
#include "whence/tracin/gradient_products.h"
#include "whence/tracin/vae_gradients.h"

#include "support/numbers.h"
#include "support/small_vae.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;

// grad softplus(-d(x)) of each instance [n, P], one backward pass each: the only term of the game that w_j
// multiplies. `terms` [n] are its values.
at::Tensor explicit_gradients(const AdversarialGame& game, const at::Tensor& theta, const at::Tensor& points,
                              at::Tensor& terms) {
  std::vector<at::Tensor> gradients, values;
  for (std::int64_t j = 0; j < points.size(0); ++j) {
    const at::Tensor leaf = theta.detach().clone().requires_grad_();
    const at::Tensor logit = game.logits(game.layout().views(leaf.unsqueeze(0)), points.narrow(0, j, 1), 0);
    const at::Tensor term = at::softplus(-logit).sum();
    values.push_back(term.detach());
    gradients.push_back(torch::autograd::grad({term}, {leaf})[0]);
  }
  terms = at::stack(values);
  return at::stack(gradients);
}

void expect_products(const std::shared_ptr<const AdversarialGame>& game, const std::string& engine_name,
                     std::int64_t width) {
  const auto engine = make_engine(engine_name, game);
  const at::Tensor theta = game->initial_parameters(1) + 0.05 * normals({game->layout().size()}, 2);
  for (const std::int64_t samples : {1, 3}) {
    const InstanceRows instances{normals({11, width}, 3), normals({11, samples, game->latent_size()}, 4)},
        queries{normals({5, width}, 5), normals({5, samples, game->latent_size()}, 6)};
    at::Tensor mask = at::ones({game->layout().size()}, at::kDouble);
    mask.narrow(0, game->layout().block(1).first + 3, 5).fill_(0);
    const GameGradients gradients(*game, *engine, mask);
    at::Tensor terms;
    const at::Tensor of_instances = explicit_gradients(*game, theta, instances.points, terms) * mask;
    EXPECT_LT(relative_difference(gradients.losses(theta, instances), terms), 1e-12);
    const at::Tensor of_queries = explicit_gradients(*game, theta, queries.points, terms) * mask;
    EXPECT_LT(relative_difference(gradients.gradients(theta, queries), of_queries), 1e-10) << engine_name;
    EXPECT_LT(relative_difference(gradients.products(theta, of_queries, instances),
                                  of_queries.mm(of_instances.t())),
              1e-10)
        << engine_name;
    // What the mask leaves out of u does not count either.
    EXPECT_LT(relative_difference(gradients.products(theta, of_queries + 7 * (1 - mask), instances),
                                  of_queries.mm(of_instances.t())),
              1e-10);
  }
}

TEST(GameGradients, AreThoseOfTheTermsOfPerceptronGans) {
  constexpr double l2 = 1e-2;  // no part of an instance's term
  const FcganOptions options{2, 3, {8}, {7, 6}, Activation::tanh, Activation::linear, true, l2, at::kDouble};
  const auto game = std::make_shared<Fcgan>(options);
  for (const std::string engine : {"torch", "native"}) expect_products(game, engine, 2);
}

TEST(GameGradients, AgreeWithTheFastWayOfVaes) {
  for (const bool conv : {false, true}) {
    const auto vae = std::make_shared<Vae>(
        (conv ? test::small_conv_vae : test::small_mlp_vae)(Likelihood::bernoulli, at::kDouble));
    const AutogradEngine engine(vae);
    const GameGradients by_engine(*vae, engine, {});
    const at::Tensor theta = vae->initial_parameters(3) + 0.1 * normals({vae->layout().size()}, 4);
    std::vector<at::Tensor> tensors;
    for (const at::Tensor& view : vae->layout().views(theta.unsqueeze(0))) tensors.push_back(view[0]);
    const std::int64_t width = vae->encoder().input().values(), m = 4;
    const InstanceRows queries{normals({3, width}, 5).sigmoid(), normals({3, m, 3}, 6)},
        instances{normals({7, width}, 7).sigmoid(), normals({7, m, 3}, 8)};
    GradientOptions options;
    options.samples = m;
    QueryGradients kept(gradient_extents(*vae, options), 3);
    take_gradients(*vae, tensors, queries.points, queries.noise, options,
                   [&](std::size_t l, const LayerGradients& part) { kept.put(l, 0, part); });
    at::Tensor fast = at::zeros({3, 7}, at::kDouble), norms = at::zeros({7}, at::kDouble);
    const at::Tensor losses = take_gradients(*vae, tensors, instances.points, instances.noise, options,
                                             [&](std::size_t l, const LayerGradients& part) {
                                               kept.add_products(l, part, fast);
                                               add_squared_norms(part, norms);
                                             });
    const at::Tensor u = by_engine.gradients(theta, queries);
    EXPECT_LT(relative_difference(by_engine.products(theta, u, instances), fast), 1e-10);
    EXPECT_LT(relative_difference(by_engine.gradients(theta, instances).square().sum(1), norms), 1e-10);
    EXPECT_LT(relative_difference(by_engine.losses(theta, instances), losses), 1e-10);
  }
}

TEST(GameGradients, TakeChosenTensorsOfVaesInTheFastWayToo) {
  const auto vae = std::make_shared<Vae>(test::small_conv_vae(Likelihood::squared));
  const AutogradEngine engine(vae);
  const at::Tensor theta = vae->initial_parameters(3) + 0.1 * normals({vae->layout().size()}, 4);
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& view : vae->layout().views(theta.unsqueeze(0))) tensors.push_back(view[0]);
  const InstanceRows rows{normals({6, vae->encoder().input().values()}, 7).sigmoid(), normals({6, 2, 3}, 8)};
  // Every choice of layers, the middle ones alone among them.
  const std::size_t layers = vae->layout().specs().size() / 2;
  for (unsigned choice = 1; choice < 1u << layers; ++choice) {
    GradientOptions options;
    options.samples = 2;
    at::Tensor mask = at::zeros({vae->layout().size()}, at::kDouble);
    for (std::size_t i = 0; i < 2 * layers; ++i) {
      const ParameterSpec& spec = vae->layout().specs()[i];
      options.tensors.push_back((choice >> (i / 2) & 1u) != 0);
      if (options.tensors.back()) mask.narrow(0, spec.offset, spec.size()).fill_(1);
    }
    at::Tensor norms = at::zeros({6}, at::kDouble);
    std::vector<bool> taken(gradient_extents(*vae, options).size(), false);
    take_gradients(*vae, tensors, rows.points, rows.noise, options,
                   [&](std::size_t l, const LayerGradients& part) {
                     taken.at(l) = true;
                     add_squared_norms(part, norms);
                   });
    EXPECT_EQ(std::count(taken.begin(), taken.end(), false), 0);
    const at::Tensor expected = GameGradients(*vae, engine, mask).gradients(theta, rows).square().sum(1);
    EXPECT_LT(relative_difference(norms, expected), 1e-10) << "layers " << choice;
  }
}

}  // namespace
}  // namespace whence
