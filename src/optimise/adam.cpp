#include "whence/optimise/adam.h"

#include <cmath>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

namespace whence {

at::Tensor Adam::initial_state(const at::Tensor& params) const {
  return at::cat({params, at::zeros_like(params), at::zeros_like(params)}, 1);
}

// Plain products and sums, no fused operations: LibTorch rounds those differently at the ends of a tensor.
void Adam::update(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates,
                  std::int64_t t) const {
  constexpr double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8;
  const std::int64_t parameters = gradient.size(1);
  at::Tensor theta = state.narrow(1, 0, parameters), m = state.narrow(1, parameters, parameters),
             v = state.narrow(1, 2 * parameters, parameters);
  m.mul_(beta_1).add_(gradient * (1 - beta_1));
  v.mul_(beta_2).add_(gradient * gradient * (1 - beta_2));
  const double steps = static_cast<double>(t + 1);
  const at::Tensor unbiased = m / (1 - std::pow(beta_1, steps)),
                   spread = (v / (1 - std::pow(beta_2, steps))).sqrt() + epsilon;
  theta.sub_(unbiased / spread * rates);
}

}  // namespace whence
