#pragma once
// ALL: how likely held-out points are under a kernel density of generated points.

#include <memory>
#include <string>

#include "whence/metric/kernel_density.h"
#include "whence/metric/metric.h"

namespace whence {

/// V = 1/N' sum_n log( 1/M sum_m N(x'_n; G(z'_m), I) ): the Gaussian kernel density of bandwidth 1 placed on
/// the M generated points (Terashita et al., appendix C.1). Sums over kernels in float64 whatever the game's
/// dtype, in log space, in blocks of bounded memory.
class AverageLogLikelihood : public Metric {
 public:
  AverageLogLikelihood(std::shared_ptr<const Generator> generator, Validation validation);
  std::string name() const override { return "all"; }
  at::Tensor value(const at::Tensor& params) const override;
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override;

 private:
  std::shared_ptr<const Generator> generator_;
  KernelDensity density_;  // at the held-out points
  at::Tensor latents_;
};

}  // namespace whence
