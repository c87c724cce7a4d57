#include "whence/density/mixture.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"

namespace whence::density {
namespace {

constexpr double log_two_pi = 1.8378770664093454835606594728112;

MixtureInfluence empty_influence(std::int64_t queries, at::IntArrayRef shape) {
  return {at::empty({queries}, at::kDouble), at::empty(shape, at::kDouble), at::empty(shape, at::kDouble),
          at::empty(shape, at::kDouble)};
}

// Calls take(first, members) for some of them after the other, whose points are some MB.
template <typename Take>
void over_members(const std::vector<std::int64_t>& all, std::int64_t width, const Take& take) {
  const auto size = static_cast<std::int64_t>(all.size()), each = points_at_once(width);
  for (std::int64_t first = 0; first < size; first += each)
    take(first, std::vector<std::int64_t>(all.begin() + first, all.begin() + std::min(size, first + each)));
}

}  // namespace

std::vector<std::vector<std::int64_t>> cluster_members(const at::Tensor& clusters) {
  const at::Tensor labels = clusters.to(at::kLong).contiguous();
  const std::int64_t size = labels.numel();
  std::vector<std::vector<std::int64_t>> members;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t c = labels.data_ptr<std::int64_t>()[i];
    // Such a number leaves clusters before it empty, and may be too large to make room for.
    if (c < 0 || c >= size)
      refuse("instance {} is in cluster {}: {} instances cannot fill the clusters before it", i, c, size);
    if (c >= static_cast<std::int64_t>(members.size())) members.resize(c + 1);
    members[c].push_back(i);
  }
  for (std::size_t c = 0; c < members.size(); ++c) {
    const std::size_t count = members[c].size();
    if (count == 0) refuse("cluster {} is empty: a mixture needs at least 3 instances in each", c);
    if (count < 3)
      refuse("cluster {} has {} instance{}: without one of them it must have a variance, so at least 3", c,
             count, count == 1 ? "" : "s");
  }
  return members;
}

SphericalMixture::SphericalMixture(const PointSet& instances, const at::Tensor& clusters)
    : instances_(instances),
      from_mean_(instances.size()),
      variance_without_(instances.size()),
      size_(static_cast<double>(instances.size())),
      width_(static_cast<double>(instances.width())) {
  for (std::vector<std::int64_t>& members : cluster_members(clusters)) {
    clusters_.emplace_back();
    clusters_.back().members = std::move(members);
  }
  const at::Tensor labels = clusters.to(at::kLong).contiguous();
  label_.assign(labels.data_ptr<std::int64_t>(), labels.data_ptr<std::int64_t>() + labels.numel());
  for (std::size_t c = 0; c < clusters_.size(); ++c) fit(static_cast<std::int64_t>(c));
}

// [d] of instances.
at::Tensor SphericalMixture::mean_of(const std::vector<std::int64_t>& members) const {
  at::Tensor sum = at::zeros({instances_.width()}, at::kDouble);
  over_members(members, instances_.width(), [&](std::int64_t, const std::vector<std::int64_t>& some) {
    sum += instances_.chosen(some).sum(0);
  });
  return sum / static_cast<double>(members.size());
}

// [n] squared distances of instances to their mean.
at::Tensor SphericalMixture::squares_from(const at::Tensor& mean,
                                          const std::vector<std::int64_t>& members) const {
  at::Tensor all = at::empty({static_cast<std::int64_t>(members.size())}, at::kDouble);
  over_members(members, instances_.width(), [&](std::int64_t first, const std::vector<std::int64_t>& some) {
    all.narrow(0, first, static_cast<std::int64_t>(some.size()))
        .copy_((instances_.chosen(some) - mean).square().sum(1));
  });
  return all;
}

// Formula (3), and (A.1.3) the variance without each member in turn.
void SphericalMixture::fit(std::int64_t number) {
  Cluster& cluster = clusters_[number];
  const at::Tensor mean = mean_of(cluster.members);
  const at::Tensor from_mean = squares_from(mean, cluster.members);
  const double n = cluster.size();
  cluster.mean.assign(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel());
  cluster.variance = from_mean.sum().item<double>() / (n * width_);
  if (!(cluster.variance > 0)) fail("cluster {} has the variance 0: its instances are all equal", number);
  for (std::size_t m = 0; m < cluster.members.size(); ++m) {
    const std::int64_t i = cluster.members[m];
    from_mean_[i] = from_mean.data_ptr<double>()[m];
    variance_without_[i] = n / (n - 1) * (cluster.variance - from_mean_[i] / ((n - 1) * width_));
    // The difference of two nearly equal numbers: an instance far outside its cluster, almost all its
    // variance.
    if (variance_without_[i] < 1e-3 * cluster.variance) fit_without(cluster, i);
    if (!(variance_without_[i] > 0))
      fail("cluster {} has the variance 0 without instance {}: its others are all equal", number, i);
  }
}

void SphericalMixture::fit_without(const Cluster& cluster, std::int64_t i) {
  std::vector<std::int64_t> others = cluster.members;
  others.erase(std::find(others.begin(), others.end(), i));
  const at::Tensor mean = mean_of(others);
  variance_without_[i] =
      squares_from(mean, others).sum().item<double>() / (static_cast<double>(others.size()) * width_);
  mean_without_[i].assign(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel());
}

double SphericalMixture::log_density(const Cluster& cluster, double all, double from_mean) const {
  return std::log(cluster.size() / all) - 0.5 * width_ * (log_two_pi + std::log(cluster.variance)) -
         from_mean / (2 * cluster.variance);
}

// log p(z; X without i) for a member i of z's component, which is fitted again.
double SphericalMixture::log_density_without(std::int64_t i, const double* z, double from_mean,
                                             double from_i) const {
  const double n = cluster_of(i).size(), variance = variance_without_[i];
  // |z - mu'|^2 with mu' = mu - (x_i - mu) / (n - 1), all scalar products written as distances.
  double from_other_mean = (n * from_mean + n / (n - 1) * from_mean_[i] - from_i) / (n - 1);
  if (const auto found = mean_without_.find(i); found != mean_without_.end())
    from_other_mean = squared_difference(z, found->second.data(), instances_.width());
  return std::log((n - 1) / (size_ - 1)) - 0.5 * width_ * (log_two_pi + std::log(variance)) -
         from_other_mean / (2 * variance);
}

SphericalMixture::Values SphericalMixture::influence_of(std::int64_t i, const double* z,
                                                        const Neighbours& near, std::int64_t q,
                                                        double from_mean, double from_i) const {
  const Cluster& cluster = cluster_of(near.index(q, 0));
  const double with = log_density(cluster, size_, from_mean);
  if (label_[i] != label_[near.index(q, 0)])
    return {-1 / size_, -1 / size_, with - log_density(cluster, size_ - 1, from_mean)};

  const double n = cluster.size(), variance = cluster.variance;
  const auto formula_4 = [&](double first) {
    return (width_ + 2) / (2 * n) + (first - from_i) / (2 * n * variance) - 1 / size_;
  };
  Values values{formula_4(from_mean / variance), formula_4(from_mean * from_mean_[i] / (width_ * variance)),
                0};
  const std::int64_t nearest = near.nearest_without(q, i);
  if (label_[nearest] == label_[i]) {
    values.exact = with - log_density_without(i, z, from_mean, from_i);
  } else {
    const Cluster& other = cluster_of(nearest);
    values.exact =
        with - log_density(other, size_ - 1, squared_difference(z, other.mean.data(), instances_.width()));
  }
  return values;
}

MixtureInfluence SphericalMixture::influence(const PointBlock& queries, const at::Tensor& squared,
                                             const Neighbours& near) const {
  const Range rows = queries.range;
  MixtureInfluence result = empty_influence(rows.size(), {rows.size(), instances_.size()});
  const double* from_i = squared.data_ptr<double>();
  std::int64_t entry = 0;
  for (std::int64_t q = rows.begin; q < rows.end; ++q) {
    const double* z = queries.point(q);
    const Cluster& cluster = cluster_of(near.index(q, 0));
    const double from_mean = squared_difference(z, cluster.mean.data(), queries.width());
    result.log_density.data_ptr<double>()[q - rows.begin] = log_density(cluster, size_, from_mean);
    for (std::int64_t i = 0; i < instances_.size(); ++i, ++entry) {
      const Values values = influence_of(i, z, near, q, from_mean, from_i[entry]);
      result.closed.data_ptr<double>()[entry] = values.closed;
      result.corrected.data_ptr<double>()[entry] = values.corrected;
      result.exact.data_ptr<double>()[entry] = values.exact;
    }
  }
  return result;
}

MixtureInfluence SphericalMixture::self_influence(const Neighbours& near) const {
  MixtureInfluence result = empty_influence(instances_.size(), {instances_.size()});
  for (const Range range : instances_.stretches()) {
    const PointBlock block = instances_.block(range);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const double* z = block.point(i);
      const Cluster& cluster = cluster_of(near.index(i, 0));
      const double from_mean = squared_difference(z, cluster.mean.data(), instances_.width());
      const Values values = influence_of(i, z, near, i, from_mean, 0);
      result.log_density.data_ptr<double>()[i] = log_density(cluster, size_, from_mean);
      result.closed.data_ptr<double>()[i] = values.closed;
      result.corrected.data_ptr<double>()[i] = values.corrected;
      result.exact.data_ptr<double>()[i] = values.exact;
    }
  }
  return result;
}

std::int64_t SphericalMixture::not_separated(const Neighbours& near, Range queries) const {
  std::int64_t count = 0;
  for (std::int64_t q = queries.begin; q < queries.end; ++q)
    count += label_[near.index(q, 0)] != label_[near.index(q, 1)];
  return count;
}

}  // namespace whence::density
