#pragma once
// The Gaussian kernel density estimator and the influence of its instances.
//
// Kong and Chaudhuri, NeurIPS 2021, section 3 and appendix A.1.2. Signs: influence.h. Everything is a
// logarithm until the end, so nothing underflows however far the points lie apart.

#include <vector>

#include "whence/density/points.h"

namespace whence::density {

/// Formula (2) and its exact counterpart for rows of queries.
struct KernelInfluence {
  at::Tensor log_density;  ///< [B] log p(z; X)
  at::Tensor closed;       ///< [B, N] formula (2)
  at::Tensor exact;        ///< [B, N] log p(z; X) - log p(z; X without i)
};

/// p(z; X) = 1/N sum_i N(z; x_i, sigma^2 I).
class KernelDensity {
 public:
  /// UsageError where sigma is not a finite number above 0, or there are fewer than two instances.
  KernelDensity(std::int64_t instances, std::int64_t width, double sigma);

  /// Influence of all instances on B queries, from their squared distances [B, N]. Formula (2) needs
  /// p - K_i / N, which it takes by subtraction while K_i is at most half of the sum; an instance with more
  /// would cancel, and then the others are summed. The exact value sums the others for every i, as the sum of
  /// those before i and of those behind it.
  KernelInfluence influence(const at::Tensor& squared) const;

  /// log of the sum of unnormalised kernels exp(-|z - x_i|^2 / 2 sigma^2) over one row of squared distances
  /// [B, n], [B]; with `skip_diagonal` without the pairs (b, b).
  at::Tensor log_kernel_sum(const at::Tensor& squared, bool skip_diagonal) const;

  /// The influence of every instance on itself, from log_kernel_sum over all others, [N].
  KernelInfluence self_influence(const at::Tensor& log_others) const;

 private:
  /// Formula (2) from logs of kernel sums, all of one shape: K_i, all K, all K but K_i.
  at::Tensor closed_form(const at::Tensor& kernel, const at::Tensor& all, const at::Tensor& others) const;
  double size_, width_, scale_, log_kernel_factor_;
};

/// The log_kernel_sum over all other instances of each instance, gathered from the blocks of sweep_pairs.
class KernelSums {
 public:
  /// For a sweep of the blocks in so many groups.
  KernelSums(const KernelDensity& density, std::int64_t instances, std::int64_t groups);
  void visit(const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared);
  /// [N]; the same bits on any number of ranks. Collective.
  at::Tensor merge(const Communicator& ranks);

 private:
  const KernelDensity& density_;
  std::vector<std::int64_t> group_of_;  // each block's
  at::Tensor partial_;                  // [N, groups]: each entry is summed by one rank, and 0 elsewhere
  // Which of them hold a sum already, by block of rows, [blocks, groups]. All at once: small allocations
  // between those of blocks would keep the heap from using freed blocks again.
  std::vector<bool> begun_;
};

}  // namespace whence::density
