#include "tracin_ratio.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <numeric>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/random.h"
#include "whence/tracin/gradient_products.h"
#include "whence/tracin/vae_gradients.h"

namespace whence::bench {
namespace {

constexpr std::int64_t samples = 16, pixels = 784, block = 256;

at::Tensor draws(std::vector<std::int64_t> shape, std::uint32_t step, at::ScalarType dtype) {
  at::Tensor values = at::empty(shape, at::kDouble);
  RandomStream(1, Purpose::training_data, step).normal(0, values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

struct Points {
  at::Tensor x, noise;
};

Points points(const Vae& vae, std::int64_t n, std::uint32_t step) {
  return {draws({n, pixels}, step, vae.dtype()).sigmoid(),
          draws({n, samples, vae.latent_size()}, step + 1, vae.dtype())};
}

// The published way's gradient [P] of one instance: m forward passes, then one backward pass.
at::Tensor gradient_one_by_one(const Vae& vae, const at::Tensor& theta, const at::Tensor& x,
                               const at::Tensor& noise) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& view : vae.layout().views(theta.unsqueeze(0)))
    leaves.push_back(view.detach().requires_grad_());
  const at::Tensor present = at::ones({1, 1}, theta.options());
  at::Tensor total;
  for (std::int64_t s = 0; s < samples; ++s) {
    const at::Tensor loss =
        vae.losses(leaves, {x.unsqueeze(0), noise.narrow(0, s, 1), samples}, present, 0)[0].sum();
    total = s == 0 ? loss : total + loss;
  }
  std::vector<at::Tensor> flat;
  for (const at::Tensor& part : torch::autograd::grad({total}, leaves)) flat.push_back(part.flatten());
  return at::cat(flat);
}

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Setting {
  Vae vae;
  at::Tensor theta;
  std::vector<at::Tensor> tensors;
  GradientOptions options{TracinLoss::training, LatentGradient::reparameterised, samples, 0};
  Points queries, instances;
  std::unique_ptr<QueryGradients> kept;
  at::Tensor query_matrix;  // [Q, P]

  Setting(VaeOptions vae_options, std::int64_t query_count)
      : vae(std::move(vae_options)),
        theta(vae.initial_parameters(3)),
        queries(points(vae, query_count, 10)),
        instances(points(vae, block, 20)) {
    for (const at::Tensor& view : vae.layout().views(theta.unsqueeze(0))) tensors.push_back(view[0]);
    kept = std::make_unique<QueryGradients>(gradient_extents(vae, options), query_count);
    take_gradients(vae, tensors, queries.x, queries.noise, options,
                   [&](std::size_t l, const LayerGradients& gradients) { kept->put(l, 0, gradients); });
    query_matrix = at::empty({query_count, theta.size(0)}, theta.options());
    for (std::int64_t q = 0; q < query_count; ++q)
      query_matrix[q].copy_(gradient_one_by_one(vae, theta, queries.x[q], queries.noise[q]));
  }

  at::Tensor whence(bool self) const {
    at::Tensor scores = at::zeros(
        self ? std::vector<std::int64_t>{block} : std::vector<std::int64_t>{queries.x.size(0), block},
        at::kDouble);
    take_gradients(vae, tensors, instances.x, instances.noise, options,
                   [&](std::size_t l, const LayerGradients& gradients) {
                     self ? add_squared_norms(gradients, scores) : kept->add_products(l, gradients, scores);
                   });
    return scores;
  }

  at::Tensor published(bool self, std::int64_t slice) const {
    std::vector<at::Tensor> scores;
    for (std::int64_t i = 0; i < slice; ++i) {
      const at::Tensor g = gradient_one_by_one(vae, theta, instances.x[i], instances.noise[i]);
      scores.push_back(self ? g.dot(g).unsqueeze(0) : at::mv(query_matrix, g).unsqueeze(1));
    }
    return at::cat(scores, -1);
  }
};

}  // namespace

void print_tracin_ratio(std::int64_t latent, std::int64_t queries, std::int64_t slice, std::int64_t rounds,
                        const std::string& dtype) {
  VaeOptions options = mlp_vae(pixels, {8 * latent, 4 * latent, 2 * latent}, latent);
  options.beta = 4;
  options.dtype = dtype == "float64" ? at::kDouble : at::kFloat;
  const Setting setting(options, queries);
  fmt::print("mlp-vae d {}, m {}, {}, {} instances at once, published way on {}\n", latent, samples, dtype,
             block, slice);
  for (const bool self : {true, false}) {
    std::vector<double> ours, theirs;
    at::Tensor a, b;
    for (std::int64_t round = 0; round < rounds; ++round) {
      ours.push_back(seconds([&] { a = setting.whence(self); }) / block);
      theirs.push_back(seconds([&] { b = setting.published(self, slice).to(at::kDouble); }) / slice);
    }
    a = a.narrow(-1, 0, slice);
    fmt::print(
        "{:<12} {:>9.3f} ms an instance, published {:>9.2f} ms, ratio {:>6.1f}, largest relative difference "
        "{:.1e}\n",
        self ? "self" : fmt::format("{} queries", queries), 1e3 * median(ours), 1e3 * median(theirs),
        median(theirs) / median(ours), ((a - b).abs().max() / b.abs().max()).item<double>());
  }
}

}  // namespace whence::bench
