#include "whence/optimise/sgd.h"

namespace whence {
namespace {

// One pass over memory: the replicas of a block do not fit a processor's second-level cache, and a temporary
// of their size would cost more than the arithmetic.
template <typename Float>
void take_off(at::Tensor& params, const at::Tensor& gradient, const at::Tensor& rates) {
  const std::int64_t rows = params.size(0), width = params.size(1);
  Float* row = params.data_ptr<Float>();
  const Float *by_row = gradient.data_ptr<Float>(), *rate = rates.data_ptr<Float>();
  for (std::int64_t r = 0; r < rows; ++r, row += width, by_row += width)
    for (std::int64_t i = 0; i < width; ++i) row[i] -= by_row[i] * rate[i];
}

}  // namespace

void Sgd::update(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates, std::int64_t) const {
  TORCH_CHECK(state.is_contiguous() && gradient.is_contiguous() && rates.is_contiguous() &&
                  state.sizes() == gradient.sizes() && state.size(1) == rates.size(0),
              "sgd: params and gradient [R, P] and rates [P] must fit together");
  if (!state.device().is_cpu())
    state.sub_(gradient * rates);
  else if (state.scalar_type() == at::kFloat)
    take_off<float>(state, gradient, rates);
  else
    take_off<double>(state, gradient, rates);
}

}  // namespace whence
