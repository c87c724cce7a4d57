#include "whence/tracin/game_gradients.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

namespace whence {
namespace {

// Every sample of every instance as a row of one mini-batch, whose divisor makes a mean over samples.
Batch batch_of(const InstanceRows& rows, std::int64_t first, std::int64_t count) {
  const std::int64_t m = rows.noise.size(1);
  const at::Tensor points = rows.points.narrow(0, first, count), noise = rows.noise.narrow(0, first, count);
  Batch batch{points.unsqueeze(1).expand({count, m, points.size(1)}).reshape({count * m, points.size(1)}),
              noise.reshape({count * m, noise.size(2)}), m, /*carries_penalty=*/false};
  if (rows.labels.defined())
    batch.labels = rows.labels.narrow(0, first, count).unsqueeze(1).expand({count, m}).reshape({-1});
  return batch;
}

}  // namespace

at::Tensor GameGradients::masked(const at::Tensor& directions) const {
  return mask_.defined() ? directions * mask_ : directions;
}

std::int64_t GameGradients::at_once() const {
  // Each of k replicas sees all k instances: where a network is small that costs less than a call of its own.
  constexpr std::int64_t small_network = 1 << 14, few = 8;
  return game_.layout().size() <= small_network ? few : 1;
}

at::Tensor GameGradients::gradients(const at::Tensor& params, const InstanceRows& rows) const {
  const std::int64_t n = rows.points.size(0), m = rows.noise.size(1), p = params.size(0);
  std::vector<at::Tensor> parts;
  for (std::int64_t first = 0; first < n; first += at_once()) {
    const std::int64_t count = std::min(at_once(), n - first);
    at::Tensor weights = at::zeros({count + 1, count, m}, params.options());  // the last replica has none
    for (std::int64_t j = 0; j < count; ++j) weights[j][j].fill_(1);
    const at::Tensor gradient = engine_.gradient(params.expand({count + 1, p}).contiguous(),
                                                 batch_of(rows, first, count), weights.view({count + 1, -1}));
    parts.push_back(gradient.narrow(0, 0, count) - gradient[count]);
  }
  return masked(at::cat(parts));
}

at::Tensor GameGradients::products(const at::Tensor& params, const at::Tensor& queries,
                                   const InstanceRows& rows) const {
  const std::int64_t n = rows.points.size(0), m = rows.noise.size(1);
  const TracedStep traced = engine_.trace(params, batch_of(rows, 0, n), masked(queries), 0);
  return traced.u_instance.view({queries.size(0), n, m}).sum(2);
}

at::Tensor GameGradients::losses(const at::Tensor& params, const InstanceRows& rows) const {
  const std::int64_t n = rows.points.size(0), m = rows.noise.size(1);
  const Batch batch = batch_of(rows, 0, n);
  const at::Tensor weights = at::ones({1, n * m}, params.options()).requires_grad_();
  at::Tensor sum;
  for (const at::Tensor& loss : game_.losses(game_.layout().views(params.unsqueeze(0)), batch, weights, 0))
    if (loss.requires_grad()) sum = sum.defined() ? sum + loss.sum() : loss.sum();
  const at::Tensor terms = torch::autograd::grad({sum}, {weights})[0];
  return terms.view({n, m}).to(at::kDouble).sum(1);
}

}  // namespace whence
