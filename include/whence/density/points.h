#pragma once
// Squared distances between many points at once, by matrix products.

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/comm/partition.h"
#include "whence/data/instances.h"

namespace whence::density {

/// Points prepared for distances: float64, moved so that a common origin is 0. Distances do not change by it,
/// but their rounding errors do: those of a matrix product grow with the distance to the origin.
class PointSet {
 public:
  /// Training instances [N, d], some rows of them read at a time, with their mean as origin. Error naming the
  /// instance where a number is NaN or infinite, or its squared distance to the mean overflows.
  explicit PointSet(const Instances& instances);
  /// Points [Q, d] with the origin of `instances`. Error naming the query in the same cases.
  PointSet(const at::Tensor& queries, const PointSet& instances);

  std::int64_t size() const { return values_.size(0); }
  std::int64_t width() const { return values_.size(1); }
  /// [N, d], moved.
  const at::Tensor& values() const { return values_; }
  /// [N] squared distances to the origin.
  const at::Tensor& norms() const { return norms_; }

 private:
  void prepare(const Instances& points, const char* what);
  at::Tensor origin_, values_, norms_;
};

/// Squared distances [rows.size(), columns.size()] of points of `a` to points of `b` (of one origin),
/// float64: |a|^2 + |b|^2 - 2 a.b from one matrix product, and where that cancels (a distance below about
/// 1/30 of the norms) the sum of squared differences. So the relative error is at most about
/// distance_error(d), and equal points have the distance 0 exactly.
at::Tensor squared_distances(const PointSet& a, Range rows, const PointSet& b, Range columns);

/// Bound on the relative error of squared_distances for points of d numbers.
double distance_error(std::int64_t width);

/// |a - b|^2 of two points of `width` numbers, by differences; the same bits for (a, b) and (b, a).
double squared_difference(const double* a, const double* b, std::int64_t width);

/// Called with blocks of squared distances of the points `rows` to the points `columns`.
using PairBlock = std::function<void(Range rows, Range columns, const at::Tensor& squared)>;

/// Rows and columns of the blocks of sweep_pairs.
inline constexpr std::int64_t pair_block = 1024;

/// How many there are.
std::int64_t block_count(std::int64_t instances);

/// Gives `visit` the squared distances of the block of instances that begins at `row` to the one that begins
/// at `column` and, where they are two, those of the second to the first.
void visit_pairs(const PointSet& instances, std::int64_t row, std::int64_t column, const PairBlock& visit);

/// Groups of blocks beside each other, nearly equal (part_of): the pairs of two groups are one rank's. A
/// group is one block up to 65,536 instances; of more there are 64 groups, and so as many sums of a row.
std::int64_t pair_groups(std::int64_t instances);

/// Gives `visit` the squared distances of all instances to all instances, each block of pairs on one rank
/// only, in the same blocks and, of two of `groups` groups, in the same order on any number of ranks. The
/// matrix product is made for half of the blocks: the other half are transposes. `done` is called after each
/// product; this rank makes pair_blocks of them.
void sweep_pairs(const PointSet& instances, std::int64_t groups, const Communicator& ranks,
                 const PairBlock& visit, const std::function<void()>& done);
std::int64_t pair_blocks(std::int64_t instances, std::int64_t groups, const Communicator& ranks);

}  // namespace whence::density
