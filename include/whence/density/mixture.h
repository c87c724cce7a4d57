#pragma once
// The well-separated spherical Gaussian mixture (WS-GMM) and the influence of its instances.
//
// Kong and Chaudhuri, NeurIPS 2021, section 3 and appendix A.1.3. Signs: influence.h.
//
// **Formula (4) as printed is not the expansion it is derived from.** With n = N_0, v = z - mu_0 and
// u = x_i - mu_0, the exponent of A.1.3 expands to
//
//   -|v|^2 / 2s^2 - (2 u.v - |v|^2 + |u|^2 |v|^2 / (d s^2)) / (2 n s^2) + O(n^-2),   s = sigma_0,
//
// where the paper has |v|^2 / s^2 in place of |u|^2 |v|^2 / (d s^2). So (4) and (5) as printed differ from
// the exact value by O(1 / N_0), unless |u|^2 happens to be d; with the lost factor |u|^2 / d they differ by
// O(N_0^-2), as claimed. Both are computed here: "closed" as printed, "corrected" with the factor.

#include <map>
#include <vector>

#include "whence/density/neighbours.h"

namespace whence::density {

/// Influence of instances on B queries, [B, N], or of each on itself, [N].
struct MixtureInfluence {
  at::Tensor log_density;  ///< [B] or [N]: log p(z; X)
  at::Tensor closed;       ///< (4) or (5) as printed, without the O()
  at::Tensor corrected;    ///< the same with |z - mu|^2 |x_i - mu|^2 / (d sigma^2) for |z - mu|^2 / sigma^2
  at::Tensor exact;        ///< log p(z; X) - log p(z; X without i)
};

/// The instances of each cluster, from their clusters [N] int64, numbered from 0. UsageError where a cluster
/// below the largest number is empty, or has one or two instances: without one of two no variance is left.
std::vector<std::vector<std::int64_t>> cluster_members(const at::Tensor& clusters);

/// p(x) = N_c / N N(x; mu_c, sigma_c^2 I), c the cluster of the instance nearest to x, with the maximum
/// likelihood mu_c and sigma_c^2 of formula (3). Taking instance i away changes its cluster's size, mean and
/// variance, which are fitted again; and where i was the nearest instance to x it may change c.
class SphericalMixture {
 public:
  /// `clusters` and UsageError as cluster_members. Error naming the cluster where all its instances are
  /// equal, also without one of them (then it is named too). `instances` outlive this object.
  SphericalMixture(const PointSet& instances, const at::Tensor& clusters);

  /// Influence on some queries. `squared` [B, N]: their squared distances to all instances; `near`: lists of
  /// at least two neighbours of all queries.
  MixtureInfluence influence(const PointBlock& queries, const at::Tensor& squared,
                             const Neighbours& near) const;
  /// Influence of every instance on itself; `near`: neighbours of all instances.
  MixtureInfluence self_influence(const Neighbours& near) const;
  /// How many of the lists `queries` of `near` belong to points that lie in another cluster without their
  /// nearest instance: where there are any, the clusters are not well separated (Assumption 1), and the
  /// formulas do not apply.
  std::int64_t not_separated(const Neighbours& near, Range queries) const;

 private:
  struct Cluster {
    std::vector<std::int64_t> members;
    std::vector<double> mean;  // mu [d]
    double variance = 0;       // sigma^2
    double size() const { return static_cast<double>(members.size()); }
  };
  struct Values {
    double closed, corrected, exact;
  };
  at::Tensor mean_of(const std::vector<std::int64_t>& members) const;
  at::Tensor squares_from(const at::Tensor& mean, const std::vector<std::int64_t>& members) const;
  void fit(std::int64_t number);
  void fit_without(const Cluster& cluster, std::int64_t i);
  const Cluster& cluster_of(std::int64_t i) const { return clusters_[label_[i]]; }
  // log p of a point of this component, `from_mean` its squared distance to mu, among `all` instances.
  double log_density(const Cluster& cluster, double all, double from_mean) const;
  // Influence of instance i on point z, whose neighbours are list q of `near`; `from_mean` belongs to z's
  // component, `from_i` is |z - x_i|^2.
  Values influence_of(std::int64_t i, const double* z, const Neighbours& near, std::int64_t q,
                      double from_mean, double from_i) const;
  double log_density_without(std::int64_t i, const double* z, double from_mean, double from_i) const;

  const PointSet& instances_;
  std::vector<std::int64_t> label_;
  std::vector<Cluster> clusters_;
  std::vector<double> from_mean_, variance_without_;          // of each instance: |x_i - mu|^2, sigma'^2
  std::map<std::int64_t, std::vector<double>> mean_without_;  // mu' of instances that dominate their cluster
  double size_, width_;
};

}  // namespace whence::density
