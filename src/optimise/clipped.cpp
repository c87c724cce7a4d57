#include "whence/optimise/clipped.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "elementwise.h"

namespace whence {
namespace {

using elementwise::block_of;

constexpr double beside_norm = 1e-6;  // torch.nn.utils.clip_grad_norm_'s

// On the CPU in one order, whatever runs beside a row.
template <typename Float>
double sum_of_products(const Float* x, const Float* y, std::int64_t count) {
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

// x . y of each row of x [R, n] with y [1, n] or [R, n]: [R, 1] float64.
at::Tensor dots(const at::Tensor& x, const at::Tensor& y) {
  if (!x.device().is_cpu()) return (x * y).sum(1, /*keepdim=*/true, at::kDouble);
  at::Tensor result = at::empty({x.size(0), 1}, at::kDouble);
  for (std::int64_t r = 0; r < x.size(0); ++r) {
    const at::Tensor own = x[r], other = y[y.size(0) == 1 ? 0 : r];
    result.data_ptr<double>()[r] =
        x.scalar_type() == at::kFloat
            ? sum_of_products(own.data_ptr<float>(), other.data_ptr<float>(), own.numel())
            : sum_of_products(own.data_ptr<double>(), other.data_ptr<double>(), own.numel());
  }
  return result;
}

}  // namespace

at::Tensor Clipped::clipped(const at::Tensor& gradient, const Moves& moves) const {
  at::Tensor result = gradient.clone();
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const at::Tensor g = block_of(gradient, 0, moves, move);
    const at::Tensor scale = (largest_norm_ / (dots(g, g).sqrt() + beside_norm)).clamp_max(1);
    block_of(result, 0, moves, move).mul_(scale.to(g.scalar_type()));
  }
  return result;
}

void Clipped::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  other_->update(state, clipped(gradient, moves), moves);
}

at::Tensor Clipped::pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const {
  const at::Tensor gradient = step.gradient.unsqueeze(0);
  at::Tensor all = other_->pull_back(u, {step.before, step.after, clipped(gradient, moves)[0]}, moves);
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const at::Tensor g = block_of(gradient, 0, moves, move), q = block_of(all, 0, moves, move);
    const at::Tensor norm = dots(g, g).sqrt(), scale = largest_norm_ / (norm + beside_norm);
    const at::Tensor along = scale / (norm + beside_norm) / norm * dots(q, g);
    const at::Tensor is_clipped = scale < 1;  // there the norm is not 0
    const at::Tensor factor = scale.clamp_max(1), away = at::where(is_clipped, along, at::zeros_like(along));
    q.copy_(q * factor.to(q.scalar_type()) - g * away.to(q.scalar_type()));
  }
  return all;
}

}  // namespace whence
