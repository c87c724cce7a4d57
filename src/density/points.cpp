#include "whence/density/points.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"

namespace whence::density {
namespace {

// Below this part of |a|^2 + |b|^2 a squared distance from the matrix product has lost three digits.
constexpr double cancels = 1e-3;

// Entries of one row of the product, turned into squared distances; whether any of them cancels.
bool finish_row(double* row, double norm, const double* norms, std::int64_t count) {
  std::int64_t lost = 0;
  for (std::int64_t c = 0; c < count; ++c) {
    const double both = norm + norms[c];
    const double squared = both - 2 * row[c];
    row[c] = squared;
    lost += squared < cancels * both || both == 0;
  }
  return lost > 0;
}

// Calls take(first, rows [n, d] float64) for some rows after the other, so that they are not all there twice.
template <typename Take>
void over_rows(const Instances& instances, const Take& take) {
  constexpr std::int64_t numbers = std::int64_t{1} << 21;
  const std::int64_t at_once =
      std::max<std::int64_t>(1, numbers / std::max<std::int64_t>(1, instances.width()));
  for (std::int64_t first = 0; first < instances.size(); first += at_once)
    take(first, instances.rows(first, std::min(at_once, instances.size() - first)).to(at::kDouble));
}

// Calls visit(i, j) for the pairs i <= j of blocks that are this rank's: pairs of groups are dealt out in
// turn.
template <typename Visit>
void over_own_pairs(std::int64_t blocks, std::int64_t groups, const Communicator& ranks, const Visit& visit) {
  std::int64_t number = 0;
  for (std::int64_t a = 0; a < groups; ++a)
    for (std::int64_t b = a; b < groups; ++b) {
      if (number++ % ranks.size() != ranks.rank()) continue;
      const Range rows = part_of(blocks, groups, a), columns = part_of(blocks, groups, b);
      for (std::int64_t i = rows.begin; i < rows.end; ++i)
        for (std::int64_t j = std::max(i, columns.begin); j < columns.end; ++j) visit(i, j);
    }
}

}  // namespace

PointSet::PointSet(const Instances& instances) {
  at::Tensor sum = at::zeros({1, instances.width()}, at::kDouble);
  over_rows(instances, [&sum](std::int64_t, const at::Tensor& rows) { sum += rows.sum(0, true); });
  origin_ = sum / static_cast<double>(instances.size());
  prepare(instances, "instance");
}

PointSet::PointSet(const at::Tensor& queries, const PointSet& instances) : origin_(instances.origin_) {
  if (queries.size(1) != instances.width())
    fail("queries have {} numbers, but instances {}", queries.size(1), instances.width());
  prepare(queries, "query");
}

void PointSet::prepare(const Instances& points, const char* what) {
  values_ = at::empty({points.size(), points.width()}, at::kDouble);
  norms_ = at::empty({points.size()}, at::kDouble);
  std::int64_t not_finite = -1;  // the first point that holds such a number
  over_rows(points, [&](std::int64_t first, const at::Tensor& rows) {
    at::Tensor moved = values_.narrow(0, first, rows.size(0));
    moved.copy_(rows - origin_);
    norms_.narrow(0, first, rows.size(0)).copy_(moved.square().sum(1));
    const at::Tensor finite = rows.isfinite().all(1);
    for (std::int64_t i = 0; not_finite < 0 && i < rows.size(0) && !finite.all().item<bool>(); ++i)
      if (!finite[i].item<bool>()) not_finite = first + i;
  });
  const at::Tensor fits = norms_.isfinite();
  if (fits.all().item<bool>()) return;
  // A number that is not finite makes the mean so too: name the point that holds it, not the first one.
  if (not_finite >= 0) fail("{} {} holds a number that is not finite", what, not_finite);
  for (std::int64_t i = 0; i < points.size(); ++i)
    if (!fits[i].item<bool>()) fail("{} {}: its squared distance to the mean of all overflows", what, i);
}

double squared_difference(const double* a, const double* b, std::int64_t width) {
  // Several sums, since one would wait for itself at each addition.
  constexpr int lanes = 8;
  double sums[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes)
    for (int l = 0; l < lanes; ++l) {
      const double difference = a[i + l] - b[i + l];
      sums[l] += difference * difference;
    }
  for (int l = 0; i < width; ++i, ++l) sums[l] += (a[i] - b[i]) * (a[i] - b[i]);
  for (int step = lanes / 2; step > 0; step /= 2)
    for (int l = 0; l < step; ++l) sums[l] += sums[l + step];
  return sums[0];
}

at::Tensor squared_distances(const PointSet& a, Range rows, const PointSet& b, Range columns) {
  const at::Tensor left = a.values().narrow(0, rows.begin, rows.size());
  const at::Tensor right = b.values().narrow(0, columns.begin, columns.size());
  at::Tensor squared = at::matmul(left, right.t()).contiguous();
  const std::int64_t width = a.width(), count = columns.size();
  const double* norms = b.norms().data_ptr<double>() + columns.begin;
  for (std::int64_t r = 0; r < rows.size(); ++r) {
    double* row = squared.data_ptr<double>() + r * count;
    const double norm = a.norms().data_ptr<double>()[rows.begin + r];
    if (!finish_row(row, norm, norms, count)) continue;
    for (std::int64_t c = 0; c < count; ++c)
      if (row[c] < cancels * (norm + norms[c]) || norm + norms[c] == 0)
        row[c] = squared_difference(left.data_ptr<double>() + r * width, right.data_ptr<double>() + c * width,
                                    width);
  }
  return squared;
}

double distance_error(std::int64_t width) {
  return (static_cast<double>(width) + 8) * std::numeric_limits<double>::epsilon() / cancels;
}

std::int64_t block_count(std::int64_t instances) { return (instances + pair_block - 1) / pair_block; }

std::int64_t pair_groups(std::int64_t instances) {
  constexpr std::int64_t most = 64;
  return std::min(most, block_count(instances));
}

std::int64_t pair_blocks(std::int64_t instances, std::int64_t groups, const Communicator& ranks) {
  std::int64_t count = 0;
  over_own_pairs(block_count(instances), groups, ranks, [&](std::int64_t, std::int64_t) { ++count; });
  return count;
}

void visit_pairs(const PointSet& instances, std::int64_t row, std::int64_t column, const PairBlock& visit) {
  const auto block = [&](std::int64_t begin) {
    return Range{begin, std::min(instances.size(), begin + pair_block)};
  };
  const at::Tensor squared = squared_distances(instances, block(row), instances, block(column));
  visit(block(row), block(column), squared);
  if (row != column) visit(block(column), block(row), squared.t().contiguous());
}

void sweep_pairs(const PointSet& instances, std::int64_t groups, const Communicator& ranks,
                 const PairBlock& visit, const std::function<void()>& done) {
  over_own_pairs(block_count(instances.size()), groups, ranks, [&](std::int64_t i, std::int64_t j) {
    visit_pairs(instances, i * pair_block, j * pair_block, visit);
    done();
  });
}

}  // namespace whence::density
