#pragma once
// Squared distances between many points at once, by matrix products.

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/comm/partition.h"
#include "whence/data/instances.h"

namespace whence::density {

/// Points of a set that lie beside each other.
struct PointBlock {
  Range range;        ///< where they are in the set
  at::Tensor values;  ///< [n, d]
  at::Tensor norms;   ///< [n] squared distances to the origin

  std::int64_t size() const { return range.size(); }
  std::int64_t width() const { return values.size(1); }
  /// The numbers of the point at such a position of the set.
  const double* point(std::int64_t position) const {
    return values.data_ptr<double>() + (position - range.begin) * width();
  }
};

/// How many points of so many numbers are taken together where they are not held: some MB of them.
std::int64_t points_at_once(std::int64_t width);

/// Points prepared for distances: float64, moved so that a common origin is 0. Distances do not change by it,
/// but their rounding errors do: those of a matrix product grow with the distance to the origin.
class PointSet {
 public:
  /// Training instances [N, d], with their mean as origin. Of more than `memory` bytes, and more than two
  /// blocks of sweep_pairs, their norms alone are held, and blocks are read when they are asked for. Error
  /// naming the instance where a number is NaN or infinite, or its squared distance to the mean overflows.
  explicit PointSet(const Instances& instances,
                    std::int64_t memory = std::numeric_limits<std::int64_t>::max());
  /// Points [Q, d] with the origin of `instances`. Error naming the query in the same cases.
  PointSet(const at::Tensor& queries, const PointSet& instances);

  std::int64_t size() const { return norms_.size(0); }
  std::int64_t width() const { return origin_.size(1); }
  /// Those of a range; a view where they are held.
  PointBlock block(Range range) const;
  /// [n, d]: the points at such positions, moved.
  at::Tensor chosen(const std::vector<std::int64_t>& positions) const;
  /// Ranges that are all points together: one where they are held, else of some MB each.
  std::vector<Range> stretches() const;

 private:
  void prepare(const char* what, bool hold);
  Instances points_;
  at::Tensor origin_, norms_;
  at::Tensor held_;  // [N, d], moved; undefined where they are read
};

/// Squared distances [a.size(), b.size()] of points of `a` to points of `b` (of one origin), float64: |a|^2 +
/// |b|^2 - 2 a.b from one matrix product, and where that cancels (a distance below about 1/30 of the norms)
/// the sum of squared differences. So the relative error is at most about distance_error(d), and equal points
/// have the distance 0 exactly.
at::Tensor squared_distances(const PointBlock& a, const PointBlock& b);

/// Bound on the relative error of squared_distances for points of d numbers.
double distance_error(std::int64_t width);

/// |a - b|^2 of two points of `width` numbers, by differences; the same bits for (a, b) and (b, a).
double squared_difference(const double* a, const double* b, std::int64_t width);

/// Called with squared distances [rows, columns] of the points `rows` to the points `columns`.
using PairBlock =
    std::function<void(const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared)>;

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
