// Distances and neighbours.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/density/neighbours.h"

#include "support/numbers.h"

namespace whence::density {
namespace {

using test::normals;

// Not constants: MPI starts in main().
Communicator world() { return Communicator(MPI_COMM_WORLD); }

// Points in tight groups far from each other: the matrix product alone would lose all digits.
at::Tensor groups(std::int64_t size, std::int64_t width) {
  at::Tensor points = normals({size, width}, 1) * 1e-6;
  for (std::int64_t i = 0; i < size; ++i) points[i] += 1e3 * static_cast<double>(i % 3);
  points[size - 1].copy_(points[2]);
  return points;
}

TEST(SquaredDistances, AreThoseOfDifferences) {
  for (const std::int64_t width : {1, 7, 300}) {
    const PointSet points(groups(50, width)), queries(normals({9, width}, 2), points);
    for (const PointSet* a : {&points, &queries}) {
      const PointBlock rows = a->block({2, a->size()}), columns = points.block({5, 50});
      const at::Tensor squared = squared_distances(rows, columns);
      ASSERT_EQ(squared.sizes(), (at::IntArrayRef{a->size() - 2, 45}));
      for (std::int64_t r = 2; r < a->size(); ++r)
        for (std::int64_t c = 5; c < 50; ++c) {
          const double exact = squared_difference(rows.point(r), columns.point(c), width);
          ASSERT_NEAR(squared[r - 2][c - 5].item<double>(), exact, distance_error(width) * exact);
        }
    }
  }
}

TEST(SquaredDistances, OfEqualPointsAreZero) {
  const PointSet points(groups(30, 40));
  const PointBlock all = points.block({0, 30});
  const at::Tensor squared = squared_distances(all, all);
  for (std::int64_t i = 0; i < 30; ++i) EXPECT_EQ(squared[i][i].item<double>(), 0);
  EXPECT_EQ(squared[29][2].item<double>(), 0);
  EXPECT_TRUE(test::same_bits(squared.t().diagonal(), squared.diagonal()));
}

TEST(PointSet, NamesWhatIsNotFinite) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), 1e200}) {
    at::Tensor points = normals({5, 3}, 1);
    points[3][1] = bad;
    try {
      const PointSet set(points);
      ADD_FAILURE() << "nothing was thrown for " << bad;
    } catch (const Error& error) {
      // The mean of one huge and four usual numbers is far from all of them.
      EXPECT_NE(std::string(error.what()).find(bad == 1e200 ? "overflows" : "instance 3"), std::string::npos)
          << error.what();
    }
  }
}

TEST(SweepPairs, ShowsEveryPairOnceOnSomeRank) {
  const std::int64_t n = 2 * pair_block + 5;
  const PointSet points(normals({n, 1}, 3));
  at::Tensor seen = at::zeros({n, n}, at::kLong);
  std::int64_t done = 0;
  sweep_pairs(
      points, 1, world(),
      [&](const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
        ASSERT_TRUE(squared.is_contiguous());
        seen.narrow(0, rows.range.begin, rows.size()).narrow(1, columns.range.begin, columns.size()) += 1;
        ASSERT_NEAR(squared[1][2].item<double>(),
                    (rows.values[1] - columns.values[2]).square().item<double>(), 1e-12);
      },
      [&] { ++done; });
  world().sum(seen);
  EXPECT_TRUE((seen == 1).all().item<bool>());
  EXPECT_EQ(done, pair_blocks(n, 1, world()));
  EXPECT_EQ(world().sum(done), 6);
}

TEST(Neighbours, AreSortedByDistanceAndThenByIndex) {
  // Whole numbers: many distances tie, and their sums are exact.
  const std::int64_t n = 1500, count = 12;
  const at::Tensor grid = (normals({n, 3}, 4) * 2).round();
  const PointSet points(grid);
  Neighbours near(n, count);
  sweep_pairs(
      points, 1, world(),
      [&](const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
        near.visit(rows, columns, squared);
      },
      [] {});
  near.merge(world());
  const PointBlock whole = points.block({0, n});
  for (std::int64_t q = 0; q < n; q += 37) {
    std::vector<std::pair<double, std::int64_t>> all;
    for (std::int64_t i = 0; i < n; ++i)
      all.emplace_back(squared_difference(whole.point(q), whole.point(i), 3), i);
    std::sort(all.begin(), all.end());
    for (std::int64_t k = 0; k < count; ++k) {
      ASSERT_EQ(near.index(q, k), all[k].second) << "query " << q << ", neighbour " << k;
      ASSERT_EQ(near.squared(q, k), all[k].first);
    }
    EXPECT_EQ(near.nearest_without(q, all[0].second), all[1].second);
    EXPECT_EQ(near.nearest_without(q, all[5].second), all[0].second);
  }
}

}  // namespace
}  // namespace whence::density
