#pragma once
// The k-nearest-neighbour density estimator and the influence of its instances.
//
// Kong and Chaudhuri, "Understanding Instance-based Interpretability of Variational Auto-Encoders", NeurIPS
// 2021, section 3 and appendix A.1.1. Signs: influence.h.

#include "whence/density/neighbours.h"

namespace whence::density {

/// p(z; X) = k / (N V_d R_k(z)^d), R_k(z) the distance to the k-th nearest instance, V_d the volume of the
/// unit ball. All functions take a query by its number q in `near`, the lists of its k + 1 nearest instances;
/// a query that is an instance itself is one of its own neighbours.
class KnnDensity {
 public:
  /// UsageError where k < 1 or k >= N: without one instance there must still be k.
  KnnDensity(std::int64_t instances, std::int64_t width, std::int64_t k);

  std::int64_t k() const { return k_; }
  /// log p(z; X). Error naming the query where R_k = 0, and so p is infinite. `what`: "query" or "instance".
  double log_density(const Neighbours& near, std::int64_t q, const char* what) const;
  /// Formula (1), the influence of instance i on query q.
  double closed(const Neighbours& near, std::int64_t q, std::int64_t i) const;
  /// log p(z; X) - log p(z; X without i), the estimator fitted again: i is taken from the list, N - 1
  /// instances are left.
  double exact(const Neighbours& near, std::int64_t q, std::int64_t i) const;
  /// What formula (1) and the fitted value give for an instance that is not among the k nearest.
  double closed_elsewhere() const;
  double exact_elsewhere(const Neighbours& near, std::int64_t q) const;

 private:
  double log_density(double size, double squared_radius) const;
  std::int64_t size_, width_, k_;
  double log_ball_;
};

}  // namespace whence::density
