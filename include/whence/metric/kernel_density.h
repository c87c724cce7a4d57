#pragma once
// Kernel density estimates with Gaussian kernels of bandwidth 1, and their derivatives by the kernels'
// centres.

#include <ATen/core/Tensor.h>

#include "whence/comm/partition.h"

namespace whence {

/// Points [n, d] float64 that densities are asked for at, arranged for the native engine's vector kernels.
///
/// Work per call is n m (d + 1) multiply-adds and n m exponentials (gradients: twice that) for m centres, in
/// blocks that stay in a core's caches, shared out over at::get_num_threads() threads. Sums are over float64
/// in log space: a running largest exponent keeps them in range however far points and centres are apart.
/// Results are the same bits on any number of threads.
class KernelDensity {
 public:
  explicit KernelDensity(const at::Tensor& points);

  std::int64_t size() const { return points_.size(0); }
  /// log p(x_n) = log( 1/m sum_m N(x_n; g_m, I) ) of each point: [n] float64, for centres [m, d] float64.
  /// Points and centres on a device: there, by LibTorch's operations (kernel_density_on_device.cpp).
  at::Tensor log_density(const at::Tensor& centres) const;
  /// d/dg_m of sum_n log p(x_n) over the points `own`: sum_n p_nm (x_n - g_m), with p_nm the share of kernel
  /// m in the density at x_n; [m, d] float64. Points are not shared out over threads.
  at::Tensor by_centres(const at::Tensor& centres, Range own) const;

 private:
  at::Tensor log_density_on_device(const at::Tensor& centres) const;
  at::Tensor by_centres_on_device(const at::Tensor& centres, Range own) const;

  at::Tensor origin_;        // [d] mean of the points: taken off, so that far-off data loses no digits
  at::Tensor points_;        // [n, d] less origin_
  at::Tensor half_squares_;  // [n] |x|^2 / 2 of those
};

}  // namespace whence
