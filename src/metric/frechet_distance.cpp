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

at::Tensor root(const Spectrum& s) {
  return at::matmul(s.vectors * s.values.clamp_min(0).sqrt(), s.vectors.t());
}

at::Tensor inverse_root_on_range(const Spectrum& s) {
  const at::Tensor inverse =
      at::where(s.values > s.smallest, s.values.clamp_min(std::numeric_limits<double>::min()).rsqrt(),
                at::zeros_like(s.values));
  return at::matmul(s.vectors * inverse, s.vectors.t());
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
  const at::Tensor a = root(spectrum_of(real.covariance));
  const Spectrum m = spectrum_of(sandwich(a, generated.covariance));
  const double shift = (real.mean - generated.mean).square().sum().item<double>();
  const double traces =
      real.covariance.diagonal().sum().item<double>() + generated.covariance.diagonal().sum().item<double>();
  return shift + traces - 2 * m.values.clamp_min(0).sqrt().sum().item<double>();
}

Moments frechet_gradient(const Moments& real, const Moments& generated) {
  const at::Tensor a = root(spectrum_of(real.covariance));
  const Spectrum m = spectrum_of(sandwich(a, generated.covariance));
  at::Tensor by_covariance = -sandwich(a, inverse_root_on_range(m));
  by_covariance.diagonal().add_(1);
  return {(generated.mean - real.mean) * 2, by_covariance};
}

}  // namespace whence
