#include "whence/optimise/clipped.h"

#include <cmath>

#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "elementwise.h"

namespace whence {
namespace {

using elementwise::Block;
using elementwise::block_of;

constexpr double beside_norm = 1e-6;  // torch.nn.utils.clip_grad_norm_'s

// x . y, in one order whatever runs beside it.
template <typename Float>
double dot(const Float* x, const Float* y, std::int64_t count) {
  constexpr std::int64_t lanes = 8;
  double sums[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::int64_t lane = 0; lane < lanes; ++lane)
      sums[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(y[i + lane]);
  for (; i < count; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

// Row by row: [R, 1] float64.
at::Tensor dots(const at::Tensor& x, const at::Tensor& y) {
  return (x * y).sum(1, /*keepdim=*/true, at::kDouble);
}

// s for the norm n: of one row, or of all of them.
template <typename Number>
Number scale_of(double largest_norm, const Number& norm) {
  return largest_norm / (norm + beside_norm);
}

// How much of g is taken from q, where s < 1; there n is not 0.
template <typename Number>
Number share_of_gradient(const Number& scale, const Number& norm, const Number& q_dot_g) {
  return scale / (norm + beside_norm) / norm * q_dot_g;
}

template <typename Float>
void clip_on_cpu(const Block& into, double largest_norm) {
  for (std::int64_t r = 0; r < into.rows(); ++r) {
    Float* g = into.row<Float>(r);
    const double scale = scale_of(largest_norm, std::sqrt(dot<Float>(g, g, into.width)));
    if (scale >= 1) continue;
    const auto factor = static_cast<Float>(scale);
    for (std::int64_t i = 0; i < into.width; ++i) g[i] *= factor;
  }
}

template <typename Float>
void pull_back_on_cpu(const Block& into, const Block& gradient, double largest_norm) {
  const Float* g = gradient.row<Float>(0);
  const double norm = std::sqrt(dot(g, g, into.width)), scale = scale_of(largest_norm, norm);
  if (!(scale < 1)) return;
  for (std::int64_t r = 0; r < into.rows(); ++r) {
    Float* q = into.row<Float>(r);
    const auto factor = static_cast<Float>(scale),
               away = static_cast<Float>(share_of_gradient(scale, norm, dot<Float>(q, g, into.width)));
    for (std::int64_t i = 0; i < into.width; ++i) q[i] = q[i] * factor - g[i] * away;
  }
}

void pull_back_on_device(const at::Tensor& q, const at::Tensor& g, double largest_norm) {
  const at::Tensor norm = dots(g, g).sqrt(), scale = scale_of(largest_norm, norm);
  const at::Tensor along = share_of_gradient(scale, norm, dots(q, g));
  const at::Tensor factor = scale.clamp_max(1), away = at::where(scale < 1, along, at::zeros_like(along));
  q.copy_(q * factor.to(q.scalar_type()) - g * away.to(q.scalar_type()));
}

}  // namespace

at::Tensor Clipped::clipped(const at::Tensor& gradient, const Moves& moves) const {
  at::Tensor result = gradient.clone();
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const Block own = block_of(result, 0, moves, move);
    if (!gradient.device().is_cpu()) {
      const at::Tensor g = own.view();
      g.mul_(scale_of(largest_norm_, dots(g, g).sqrt()).clamp_max(1).to(g.scalar_type()));
    } else if (gradient.scalar_type() == at::kFloat) {
      clip_on_cpu<float>(own, largest_norm_);
    } else {
      clip_on_cpu<double>(own, largest_norm_);
    }
  }
  return result;
}

void Clipped::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  other_->update(state, clipped(gradient, moves), moves);
}

at::Tensor Clipped::pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const {
  const at::Tensor others = other_->needs_gradient() ? clipped(step.gradient, moves) : at::Tensor();
  at::Tensor all = other_->pull_back(u, {step.before, step.after, others}, moves);
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const Block q = block_of(all, 0, moves, move), g = block_of(step.gradient, 0, moves, move);
    if (!all.device().is_cpu())
      pull_back_on_device(q.view(), g.view(), largest_norm_);
    else if (all.scalar_type() == at::kFloat)
      pull_back_on_cpu<float>(q, g, largest_norm_);
    else
      pull_back_on_cpu<double>(q, g, largest_norm_);
  }
  return all;
}

}  // namespace whence
