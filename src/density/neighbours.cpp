#include "whence/density/neighbours.h"

#include <limits>

#include <ATen/ops/zeros.h>

namespace whence::density {

Neighbours::Neighbours(std::int64_t queries, std::int64_t count)
    : count_(count),
      squared_(queries * count, std::numeric_limits<double>::infinity()),
      index_(queries * count, std::numeric_limits<std::int64_t>::max()) {}

void Neighbours::insert(std::int64_t q, double squared, std::int64_t index) {
  double* distances = squared_.data() + q * count_;
  std::int64_t* indices = index_.data() + q * count_;
  const auto after = [&](std::int64_t n) {
    return distances[n] > squared || (distances[n] == squared && indices[n] > index);
  };
  if (!after(count_ - 1)) return;
  std::int64_t n = count_ - 1;
  for (; n > 0 && after(n - 1); --n) {
    distances[n] = distances[n - 1];
    indices[n] = indices[n - 1];
  }
  distances[n] = squared;
  indices[n] = index;
}

void Neighbours::visit(const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
  const std::int64_t width = columns.width();
  // What the product puts farther than this is farther: both sides of the comparison err.
  const double slack = 1 + 2 * distance_error(width);
  for (std::int64_t q = rows.range.begin; q < rows.range.end; ++q) {
    const double* row = squared.data_ptr<double>() + (q - rows.range.begin) * columns.size();
    const double& farthest = squared_[(q + 1) * count_ - 1];
    double limit = farthest * slack;
    for (std::int64_t c = 0; c < columns.size(); ++c) {
      if (row[c] > limit) continue;
      const std::int64_t index = columns.range.begin + c;
      insert(q, squared_difference(rows.point(q), columns.point(index), width), index);
      limit = farthest * slack;
    }
  }
}

void Neighbours::merge(const Communicator& ranks) {
  // Which lists are joined in which order does not matter: the order by distance and index is total.
  const auto size = static_cast<std::int64_t>(index_.size());
  const std::vector<double> own_squared = squared_;
  const std::vector<std::int64_t> own_index = index_;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    at::Tensor squared = at::zeros({size}, at::kDouble), index = at::zeros({size}, at::kLong);
    if (rank == ranks.rank()) {
      std::copy(own_squared.begin(), own_squared.end(), squared.data_ptr<double>());
      std::copy(own_index.begin(), own_index.end(), index.data_ptr<std::int64_t>());
    }
    ranks.sum(squared);
    ranks.sum(index);
    if (rank == ranks.rank()) continue;
    for (std::int64_t n = 0; n < size; ++n)
      insert(n / count_, squared.data_ptr<double>()[n], index.data_ptr<std::int64_t>()[n]);
  }
}

}  // namespace whence::density
