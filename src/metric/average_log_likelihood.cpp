#include "whence/metric/average_log_likelihood.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/exp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/comm/partition.h"
#include "whence/metric/generated.h"

namespace whence {
namespace {

// Kernels held in memory at once: 16 MiB of float64, which also stay in the last-level cache of most
// machines.
constexpr std::int64_t kernels_at_once = 1 << 21;

std::int64_t block_rows(std::int64_t centres) { return std::max<std::int64_t>(1, kernels_at_once / centres); }

// -|x - g|^2 / 2 for all pairs, through |x|^2 - 2 x.g + |g|^2. Both are shifted by the mean of the points
// first, so that the subtraction loses no digits when the data lies far from the origin.
at::Tensor log_kernels(const at::Tensor& points, const at::Tensor& centres, const at::Tensor& origin) {
  const at::Tensor x = points - origin, g = centres - origin;
  return at::matmul(x, g.t()) - 0.5 * (x.square().sum(1, true) + g.square().sum(1).unsqueeze(0));
}

// log of the kernels' common factor: 1/M (2 pi)^(-d/2).
double log_factor(const at::Tensor& centres) {
  constexpr double log_two_pi = 1.8378770664093454835606594728112;
  return -std::log(static_cast<double>(centres.size(0))) - 0.5 * log_two_pi * centres.size(1);
}

}  // namespace

at::Tensor kernel_log_density(const at::Tensor& points, const at::Tensor& centres) {
  const at::Tensor origin = points.mean(0, true);
  at::Tensor density = at::zeros({points.size(0)}, points.options());
  const std::int64_t rows = block_rows(centres.size(0));
  for (std::int64_t begin = 0; begin < points.size(0); begin += rows) {
    const std::int64_t count = std::min(rows, points.size(0) - begin);
    density.narrow(0, begin, count)
        .copy_(at::logsumexp(log_kernels(points.narrow(0, begin, count), centres, origin), 1));
  }
  return density + log_factor(centres);
}

AverageLogLikelihood::AverageLogLikelihood(std::shared_ptr<const AdversarialGame> game, Validation validation)
    : game_(std::move(game)),
      held_out_(validation.held_out.to(at::kDouble)),
      latents_(std::move(validation.latents)) {}

at::Tensor AverageLogLikelihood::value(const at::Tensor& params) const {
  at::Tensor values = at::zeros({params.size(0)}, at::kDouble);
  for (std::int64_t r = 0; r < params.size(0); ++r)
    values[r] = kernel_log_density(held_out_, generated(*game_, params[r], latents_).to(at::kDouble)).mean();
  return values;
}

// dV/dG(z_m) = 1/N' sum_n p_nm (x_n - G(z_m)), p_nm the share of kernel m in the density at x_n.
at::Tensor AverageLogLikelihood::gradient(const at::Tensor& params, const Communicator& ranks) const {
  const at::Tensor centres = generated(*game_, params, latents_).to(at::kDouble);
  const at::Tensor origin = held_out_.mean(0, true);
  at::Tensor by_sample = at::zeros_like(centres);
  const Range own = part_of(held_out_.size(0), ranks.size(), ranks.rank());
  const std::int64_t rows = block_rows(centres.size(0));
  for (std::int64_t begin = own.begin; begin < own.end; begin += rows) {
    const at::Tensor points = held_out_.narrow(0, begin, std::min(rows, own.end - begin));
    const at::Tensor logs = log_kernels(points, centres, origin);
    const at::Tensor share = at::exp(logs - at::logsumexp(logs, 1, true));
    by_sample += at::matmul(share.t(), points) - share.sum(0).unsqueeze(1) * centres;
  }
  by_sample /= static_cast<double>(held_out_.size(0));

  at::Tensor gradient = pull_back_samples(*game_, params, latents_, by_sample.to(game_->dtype()));
  ranks.sum(gradient);
  return gradient;
}

}  // namespace whence
