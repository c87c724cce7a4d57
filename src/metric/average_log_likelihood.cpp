#include "whence/metric/average_log_likelihood.h"

#include <ATen/ops/zeros.h>

#include "whence/comm/partition.h"
#include "whence/metric/generated.h"

namespace whence {
AverageLogLikelihood::AverageLogLikelihood(std::shared_ptr<const Generator> generator, Validation validation)
    : generator_(std::move(generator)),
      density_(validation.held_out.to(at::kDouble)),
      latents_(std::move(validation.latents)) {}

at::Tensor AverageLogLikelihood::value(const at::Tensor& params) const {
  at::Tensor values = at::zeros({params.size(0)}, at::kDouble);
  for (std::int64_t r = 0; r < params.size(0); ++r)
    values[r] = density_.log_density(generated(*generator_, params[r], latents_).to(at::kDouble)).mean();
  return values;
}

// dV/dG(z_m) = 1/N' sum_n p_nm (x_n - G(z_m)), p_nm the share of kernel m in the density at x_n.
at::Tensor AverageLogLikelihood::gradient(const at::Tensor& params, const Communicator& ranks) const {
  const at::Tensor centres = generated(*generator_, params, latents_).to(at::kDouble);
  const Range own = part_of(density_.size(), ranks.size(), ranks.rank());
  const at::Tensor by_sample = density_.by_centres(centres, own) / static_cast<double>(density_.size());
  at::Tensor gradient = pull_back_samples(*generator_, params, latents_, by_sample.to(params.scalar_type()));
  ranks.sum(gradient);
  return gradient;
}

}  // namespace whence
