#pragma once
// The Frechet distance between two sets of features, as if both were normal.

#include <ATen/core/Tensor.h>

namespace whence {

/// Mean [F] and covariance [F, F] (divisor m - 1, as in the authors' code) of features, float64.
struct Moments {
  at::Tensor mean, covariance;
};

/// |mu_1 - mu_2|^2 + Tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)) (Heusel et al., 2017), with Tr (C_1 C_2)^(1/2) = Tr
/// (A C_2 A)^(1/2), A = C_1^(1/2), which is symmetric.
double frechet_distance(const Moments& real, const Moments& generated);

/// Derivatives of frechet_distance by the generated mean [F] and covariance [F, F]. With M = A C_2 A:
///   d Tr M^(1/2) / d C_2 = 1/2 A M^(-1/2) A,
/// the inverse on M's range: where C_1 or C_2 is rank deficient the distance is differentiated along the
/// directions in which M stays of that rank. No derivatives of eigenvectors: close eigenvalues do no harm.
Moments frechet_gradient(const Moments& real, const Moments& generated);

/// Moments of features [m, F], m at least 2.
Moments moments_of(const at::Tensor& features);

}  // namespace whence
