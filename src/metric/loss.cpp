#include "whence/metric/loss.h"

#include <algorithm>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/comm/partition.h"

namespace whence {
namespace {

// Points at once: bounds the memory of a graph to about 64 M numbers.
std::int64_t chunk_of(const Game& game, const at::Tensor& points) {
  return std::clamp<std::int64_t>((1 << 26) / game.graph_numbers(points.size(1)), 1, 2048);
}

}  // namespace

LossMetric::LossMetric(std::string name, std::int64_t player, std::shared_ptr<const Game> game,
                       Validation validation)
    : name_(std::move(name)), player_(player), game_(std::move(game)), validation_(std::move(validation)) {}

// The part [R] of the loss that rows begin .. end-1 contribute.
at::Tensor LossMetric::chunk_loss(const at::Tensor& params, std::int64_t begin, std::int64_t end) const {
  Batch batch{validation_.held_out.narrow(0, begin, end - begin),
              validation_.latents.narrow(0, begin, end - begin), validation_.held_out.size(0),
              /*carries_penalty=*/false};
  if (validation_.labels.defined()) batch.labels = validation_.labels.narrow(0, begin, end - begin);
  const at::Tensor present = at::ones({params.size(0), end - begin}, params.options().requires_grad(false));
  return game_->losses(game_->layout().views(params), batch, present, 0.0)[player_];
}

at::Tensor LossMetric::values_of(const at::Tensor& params,
                                 const std::function<void(std::int64_t)>& points_done) const {
  at::Tensor values = at::zeros({params.size(0)}, at::kDouble);
  const std::int64_t total = validation_.held_out.size(0), chunk = chunk_of(*game_, validation_.held_out);
  for (std::int64_t r = 0; r < params.size(0); ++r)
    for (std::int64_t begin = 0; begin < total; begin += chunk) {
      const std::int64_t end = std::min(total, begin + chunk);
      values[r] += chunk_loss(params.narrow(0, r, 1), begin, end)[0].to(at::kCPU, at::kDouble);
      points_done(end - begin);
    }
  return values;
}

at::Tensor LossMetric::gradient_of(const at::Tensor& params, const Communicator& ranks,
                                   const std::function<void(std::int64_t)>& points_done) const {
  at::Tensor gradient = at::zeros_like(params);
  const Range own = part_of(validation_.held_out.size(0), ranks.size(), ranks.rank());
  const std::int64_t chunk = chunk_of(*game_, validation_.held_out);
  for (std::int64_t begin = own.begin; begin < own.end; begin += chunk) {
    const std::int64_t end = std::min(own.end, begin + chunk);
    const at::Tensor theta = params.detach().clone().requires_grad_();
    const at::Tensor loss = chunk_loss(theta.unsqueeze(0), begin, end);
    const at::Tensor part = torch::autograd::grad({loss.sum()}, {theta}, {}, {}, false, true)[0];
    if (part.defined()) gradient += part;
    points_done(end - begin);
  }
  ranks.sum(gradient);
  return gradient;
}

at::Tensor LossMetric::value(const at::Tensor& params) const {
  return values_of(params, [](std::int64_t) {});
}

at::Tensor LossMetric::gradient(const at::Tensor& params, const Communicator& ranks) const {
  return gradient_of(params, ranks, [](std::int64_t) {});
}

// A gradient costs about three times as much as a value.
Evaluation LossMetric::evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                          const ShareDone& done) const {
  const std::int64_t points = validation_.held_out.size(0);
  const double all = 3.0 * static_cast<double>(part_of(points, ranks.size(), ranks.rank()).size()) +
                     static_cast<double>(points);
  double so_far = 0;
  const at::Tensor by_params = gradient_of(
      params, ranks, [&](std::int64_t count) { done((so_far += 3.0 * static_cast<double>(count)) / all); });
  ranks.wait_for_device();
  const at::Tensor value = values_of(
      params.unsqueeze(0), [&](std::int64_t count) { done((so_far += static_cast<double>(count)) / all); });
  return {value[0].item<double>(), by_params};
}

}  // namespace whence
