#pragma once
// Nearest neighbours, exactly and in a defined order.

#include <cstdint>
#include <vector>

#include "whence/density/points.h"

namespace whence::density {

/// The `count` instances nearest to each query, nearest first; of equal distances the lower index comes
/// first. They are ordered by squared_difference, not by the matrix product, whose last digits differ from
/// one block to another. An instance that is a query too is its own neighbour at distance 0: it is part of X,
/// as in the paper (its clusters of exactly k are those in which a point and its k - 1 neighbours fill R_k).
class Neighbours {
 public:
  /// Of so many queries; `count` is at most the number of instances.
  Neighbours(std::int64_t queries, std::int64_t count);

  /// Looks at a block of squared_distances of the queries `rows` to the instances `columns`. Every pair has
  /// to be seen once before the lists are read, in whatever order and on whatever rank.
  void visit(const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared);
  /// Joins the lists of all ranks. Collective.
  void merge(const Communicator& ranks);

  std::int64_t count() const { return count_; }
  /// Index of the n-th nearest instance to query q, n from 0.
  std::int64_t index(std::int64_t q, std::int64_t n) const { return index_[q * count_ + n]; }
  /// Its squared distance.
  double squared(std::int64_t q, std::int64_t n) const { return squared_[q * count_ + n]; }
  /// The nearest instance to query q other than instance `i`; needs count >= 2.
  std::int64_t nearest_without(std::int64_t q, std::int64_t i) const {
    return index(q, 0) == i ? index(q, 1) : index(q, 0);
  }

 private:
  void insert(std::int64_t q, double squared, std::int64_t index);
  std::int64_t count_;
  std::vector<double> squared_;
  std::vector<std::int64_t> index_;
};

}  // namespace whence::density
