#include "whence/density/knn.h"

#include <cmath>

#include "whence/core/error.h"

namespace whence::density {

KnnDensity::KnnDensity(std::int64_t instances, std::int64_t width, std::int64_t k)
    : size_(instances), width_(width), k_(k) {
  if (k < 1) refuse("--k is {}, but must be at least 1", k);
  if (k >= instances)
    refuse("--k is {}, but must be less than the {} instances: without one of them there must still be k", k,
           instances);
  constexpr double log_pi = 1.1447298858494001741434273513531;
  log_ball_ = 0.5 * static_cast<double>(width) * log_pi - std::lgamma(0.5 * static_cast<double>(width) + 1);
}

double KnnDensity::log_density(double size, double squared_radius) const {
  return std::log(static_cast<double>(k_)) - std::log(size) - log_ball_ -
         0.5 * static_cast<double>(width_) * std::log(squared_radius);
}

double KnnDensity::log_density(const Neighbours& near, std::int64_t q, const char* what) const {
  if (near.squared(q, k_ - 1) == 0)
    fail(
        "the k-NN density at {} {} is infinite: its {} nearest instances (a query that is an instance "
        "counts) lie on it; --k has to be larger",
        what, q, k_);
  return log_density(static_cast<double>(size_), near.squared(q, k_ - 1));
}

double KnnDensity::closed_elsewhere() const { return std::log1p(-1 / static_cast<double>(size_)); }

double KnnDensity::closed(const Neighbours& near, std::int64_t q, std::int64_t i) const {
  // Beyond the list is beyond R_k; an instance beside it at exactly R_k means R_{k+1} = R_k.
  const double radius = near.squared(q, k_ - 1), next = near.squared(q, k_);
  for (std::int64_t n = 0; n <= k_; ++n)
    if (near.index(q, n) == i && near.squared(q, n) <= radius)
      return closed_elsewhere() + 0.5 * static_cast<double>(width_) * std::log(next / radius);
  return closed_elsewhere();
}

double KnnDensity::exact(const Neighbours& near, std::int64_t q, std::int64_t i) const {
  std::int64_t left = k_, n = 0;
  for (;; ++n)
    if (near.index(q, n) != i && --left == 0) break;
  return log_density(static_cast<double>(size_), near.squared(q, k_ - 1)) -
         log_density(static_cast<double>(size_ - 1), near.squared(q, n));
}

double KnnDensity::exact_elsewhere(const Neighbours& near, std::int64_t q) const {
  return log_density(static_cast<double>(size_), near.squared(q, k_ - 1)) -
         log_density(static_cast<double>(size_ - 1), near.squared(q, k_ - 1));
}

}  // namespace whence::density
