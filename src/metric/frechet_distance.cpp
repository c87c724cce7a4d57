#include "whence/metric/frechet_distance.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

namespace whence {
namespace {

// Eigenvalues (ascending) and vectors of a symmetric positive semidefinite matrix; rounding may leave the
// smallest ones slightly negative, or positive where they are 0.
struct Spectrum {
  at::Tensor values, vectors;
  double smallest;  // what counts as more than 0: F epsilon times the largest
};

Spectrum spectrum_of(const at::Tensor& matrix) {
  const auto [values, vectors] = at::linalg_eigh((matrix + matrix.t()) * 0.5);
  const double largest = std::max(0.0, values.max().item<double>());
  return {values, vectors,
          largest * static_cast<double>(matrix.size(0)) * std::numeric_limits<double>::epsilon()};
}

// f(values) where they are more than 0, else 0. The root of what rounding leaves of a 0, 1e-8 of the largest,
// would be most of a distance's error where a covariance is rank deficient.
template <typename Function>
at::Tensor on_range(const Spectrum& s, const Function& f) {
  const at::Tensor positive = s.values.clamp_min(std::numeric_limits<double>::min());
  return at::where(s.values > s.smallest, f(positive), at::zeros_like(s.values));
}

at::Tensor roots(const Spectrum& s) {
  return on_range(s, [](const at::Tensor& values) { return values.sqrt(); });
}

at::Tensor matrix_of(const Spectrum& s, const at::Tensor& values) {
  return at::matmul(s.vectors * values, s.vectors.t());
}

at::Tensor root(const at::Tensor& matrix) {
  const Spectrum s = spectrum_of(matrix);
  return matrix_of(s, roots(s));
}

at::Tensor sandwich(const at::Tensor& outer, const at::Tensor& inner) {
  return at::matmul(outer, at::matmul(inner, outer));
}

}  // namespace

Moments moments_of(const at::Tensor& features) {
  const at::Tensor wide = features.to(at::kDouble), mean = wide.mean(0), centred = wide - mean;
  return {mean, at::matmul(centred.t(), centred) / static_cast<double>(wide.size(0) - 1)};
}

double frechet_distance(const Moments& real, const Moments& generated) {
  const at::Tensor a = root(real.covariance);
  const Spectrum m = spectrum_of(sandwich(a, generated.covariance));
  const double shift = (real.mean - generated.mean).square().sum().item<double>();
  const double traces =
      real.covariance.diagonal().sum().item<double>() + generated.covariance.diagonal().sum().item<double>();
  return shift + traces - 2 * roots(m).sum().item<double>();
}

Moments frechet_gradient(const Moments& real, const Moments& generated) {
  const at::Tensor a = root(real.covariance);
  const Spectrum m = spectrum_of(sandwich(a, generated.covariance));
  at::Tensor by_covariance =
      -sandwich(a, matrix_of(m, on_range(m, [](const at::Tensor& v) { return v.rsqrt(); })));
  by_covariance.diagonal().add_(1);
  return {(generated.mean - real.mean) * 2, by_covariance};
}

}  // namespace whence
