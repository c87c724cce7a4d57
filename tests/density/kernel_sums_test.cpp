// Sums of kernels over pairs that are visited in groups of blocks.
#include <gtest/gtest.h>
#include <limits>

#include <ATen/ops/cdist.h>
#include <ATen/ops/logsumexp.h>

#include "whence/density/kde.h"

#include "support/numbers.h"

namespace whence::density {
namespace {

at::Tensor sums_of(const PointSet& points, std::int64_t groups, const Communicator& ranks,
                   std::int64_t& blocks) {
  const KernelDensity density(points.size(), points.width(), 0.5);
  KernelSums sums(density, points.size(), groups);
  blocks = 0;
  sweep_pairs(
      points, groups, ranks,
      [&](const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
        sums.visit(rows, columns, squared);
      },
      [&] { ++blocks; });
  EXPECT_EQ(blocks, pair_blocks(points.size(), groups, ranks));
  return sums.merge(ranks);
}

// Five blocks, the last of one instance: in one group, in groups of three and two, and each by itself.
TEST(KernelSums, AreThoseOfAllPairsInAnyNumberOfGroupsOnAnyNumberOfRanks) {
  const Communicator world(MPI_COMM_WORLD), alone(MPI_COMM_SELF);
  const PointSet points(test::normals({4 * pair_block + 1, 2}, 7));
  const PointBlock all = points.block({0, points.size()});
  at::Tensor logs = at::cdist(all.values, all.values, 2, 2).square() * (-0.5 / (0.5 * 0.5));
  logs.fill_diagonal_(-std::numeric_limits<double>::infinity());
  const at::Tensor right = at::logsumexp(logs, 1);
  for (const std::int64_t groups : {1, 2, 5}) {
    std::int64_t blocks = 0, all_blocks = 0;
    const at::Tensor shared = sums_of(points, groups, world, blocks),
                     single = sums_of(points, groups, alone, all_blocks);
    EXPECT_LT((shared - right).abs().max().item<double>(), 1e-11) << groups;
    EXPECT_TRUE(shared.equal(single)) << groups << " groups: other bits on " << world.size() << " ranks";
    EXPECT_EQ(world.sum(blocks), 15);
    EXPECT_EQ(all_blocks, 15);
  }
}

TEST(KernelSums, KeepAtMostSixtyFourSumsAnInstance) {
  EXPECT_EQ(pair_groups(2), 1);
  EXPECT_EQ(pair_groups(pair_block + 1), 2);
  for (const std::int64_t n : {65'536LL, 65'537LL, 1'300'000LL, 100'000'000LL})
    EXPECT_EQ(pair_groups(n), 64) << n;
}

}  // namespace
}  // namespace whence::density
