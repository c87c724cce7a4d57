#include "whence/density/points.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
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
  const std::int64_t at_once = points_at_once(instances.width());
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

std::int64_t points_at_once(std::int64_t width) {
  constexpr std::int64_t numbers = std::int64_t{1} << 21;
  return std::max<std::int64_t>(1, numbers / std::max<std::int64_t>(1, width));
}

PointSet::PointSet(const Instances& instances, std::int64_t memory) : points_(instances) {
  at::Tensor sum = at::zeros({1, instances.width()}, at::kDouble);
  over_rows(instances, [&sum](std::int64_t, const at::Tensor& rows) { sum += rows.sum(0, true); });
  origin_ = sum / static_cast<double>(instances.size());
  // A few blocks are there in any case.
  prepare("instance", instances.size() <= 2 * pair_block ||
                          instances.size() <= memory / (8 * std::max<std::int64_t>(1, instances.width())));
}

PointSet::PointSet(const at::Tensor& queries, const PointSet& instances)
    : points_(queries), origin_(instances.origin_) {
  if (queries.size(1) != instances.width())
    fail("queries have {} numbers, but instances {}", queries.size(1), instances.width());
  prepare("query", false);  // they are held as they are
}

void PointSet::prepare(const char* what, bool hold) {
  if (hold) held_ = at::empty({points_.size(), points_.width()}, at::kDouble);
  norms_ = at::empty({points_.size()}, at::kDouble);
  std::int64_t not_finite = -1;  // the first point that holds such a number
  over_rows(points_, [&](std::int64_t first, const at::Tensor& rows) {
    const at::Tensor moved = rows - origin_;
    if (hold) held_.narrow(0, first, rows.size(0)).copy_(moved);
    norms_.narrow(0, first, rows.size(0)).copy_(moved.square().sum(1));
    const at::Tensor finite = rows.isfinite().all(1);
    for (std::int64_t i = 0; not_finite < 0 && i < rows.size(0) && !finite.all().item<bool>(); ++i)
      if (!finite[i].item<bool>()) not_finite = first + i;
  });
  if (hold) points_ = {};
  const at::Tensor fits = norms_.isfinite();
  if (fits.all().item<bool>()) return;
  // A number that is not finite makes the mean so too: name the point that holds it, not the first one.
  if (not_finite >= 0) fail("{} {} holds a number that is not finite", what, not_finite);
  for (std::int64_t i = 0; i < size(); ++i)
    if (!fits[i].item<bool>()) fail("{} {}: its squared distance to the mean of all overflows", what, i);
}

PointBlock PointSet::block(Range range) const {
  const at::Tensor norms = norms_.narrow(0, range.begin, range.size());
  if (held_.defined()) return {range, held_.narrow(0, range.begin, range.size()), norms};
  const at::Tensor rows = points_.rows(range.begin, range.size()).to(at::kDouble);
  return {range, points_.held() ? rows - origin_ : rows.sub_(origin_), norms};
}

at::Tensor PointSet::chosen(const std::vector<std::int64_t>& positions) const {
  const at::Tensor places = at::tensor(positions, at::kLong);
  return held_.defined() ? held_.index_select(0, places) : points_.gather(places).to(at::kDouble) - origin_;
}

std::vector<Range> PointSet::stretches() const {
  if (held_.defined()) return {{0, size()}};
  const std::int64_t each = points_at_once(width());
  std::vector<Range> all;
  for (std::int64_t begin = 0; begin < size(); begin += each)
    all.push_back({begin, std::min(size(), begin + each)});
  return all;
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

at::Tensor squared_distances(const PointBlock& a, const PointBlock& b) {
  at::Tensor squared = at::matmul(a.values, b.values.t()).contiguous();
  const std::int64_t width = a.width(), count = b.size();
  const double* norms = b.norms.data_ptr<double>();
  for (std::int64_t r = 0; r < a.size(); ++r) {
    double* row = squared.data_ptr<double>() + r * count;
    const double norm = a.norms.data_ptr<double>()[r];
    if (!finish_row(row, norm, norms, count)) continue;
    for (std::int64_t c = 0; c < count; ++c)
      if (row[c] < cancels * (norm + norms[c]) || norm + norms[c] == 0)
        row[c] = squared_difference(a.point(a.range.begin + r), b.point(b.range.begin + c), width);
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

namespace {

PointBlock pair_block_of(const PointSet& instances, std::int64_t begin) {
  return instances.block({begin, std::min(instances.size(), begin + pair_block)});
}

void visit_blocks(const PointBlock& rows, const PointBlock& columns, const PairBlock& visit) {
  const at::Tensor squared = squared_distances(rows, columns);
  visit(rows, columns, squared);
  if (rows.range.begin != columns.range.begin) visit(columns, rows, squared.t().contiguous());
}

}  // namespace

void visit_pairs(const PointSet& instances, std::int64_t row, std::int64_t column, const PairBlock& visit) {
  const PointBlock rows = pair_block_of(instances, row);
  visit_blocks(rows, row == column ? rows : pair_block_of(instances, column), visit);
}

void sweep_pairs(const PointSet& instances, std::int64_t groups, const Communicator& ranks,
                 const PairBlock& visit, const std::function<void()>& done) {
  PointBlock rows{{-1, -1}, {}, {}};  // those of the last pair, which may have been read
  over_own_pairs(block_count(instances.size()), groups, ranks, [&](std::int64_t i, std::int64_t j) {
    if (rows.range.begin != i * pair_block) rows = pair_block_of(instances, i * pair_block);
    visit_blocks(rows, i == j ? rows : pair_block_of(instances, j * pair_block), visit);
    done();
  });
}

}  // namespace whence::density
