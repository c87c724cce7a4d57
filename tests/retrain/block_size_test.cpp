// How retrainings are cut into blocks, against shares worked out by hand and by trying.
#include "whence/retrain/block_size.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

namespace whence {
namespace {

// One k; `sets` removal sets that all change the first of `steps` steps.
RetrainingStarts alike(std::int64_t sets, std::int64_t steps) {
  return {steps, {1}, {std::vector<std::int64_t>(sets, 0)}};
}

TEST(BlockSize, SharesAreThoseOfRanksThatDrawBlocks) {
  // Blocks of 3, 3 and 2 sets, so 4, 4 and 3 replicas, of 10 steps.
  const auto blocks = plan_counterfactuals(alike(8, 10), 3);
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(longest_share(blocks, 10, 1), 110);
  EXPECT_EQ(longest_share(blocks, 10, 2), 70);
  EXPECT_EQ(longest_share(blocks, 10, 3), 40);
  EXPECT_EQ(longest_share(blocks, 10, 64), 40);
}

TEST(BlockSize, BlocksHoldSetsOfOneStart) {
  const auto blocks = plan_counterfactuals({10, {1}, {{4, 0, 4, 0, 4, 0}}}, 2);
  ASSERT_EQ(blocks.size(), 4u);
  const std::vector<std::vector<std::int64_t>> sets{{1, 3}, {5}, {0, 2}, {4}};
  for (std::size_t b = 0; b < 4; ++b) {
    EXPECT_EQ(blocks[b].removals, sets[b]);
    EXPECT_EQ(blocks[b].first_step, b < 2 ? 0 : 4);
  }
}

TEST(BlockSize, SetsThatChangeNothingCostNothing) {
  EXPECT_EQ(longest_share(plan_counterfactuals({10, {1}, {{10, 10, 4}}}, 1), 10, 1), 12);
}

TEST(BlockSize, OneRankTakesTheLargestBlocks) {
  EXPECT_EQ(best_block_size(alike(64, 10), 32, 1), 32);
  EXPECT_EQ(best_block_size(alike(5, 10), 32, 1), 5);
}

TEST(BlockSize, ManyRanksAllHaveWork) {
  EXPECT_EQ(best_block_size(alike(200, 10), 32, 64), 4);  // 50 blocks of 5 replicas; 3 sets make 67 blocks
  EXPECT_EQ(best_block_size(alike(200, 10), 32, 200), 1);
  EXPECT_EQ(best_block_size(alike(200, 10), 32, 2),
            25);  // four blocks each; 32 would leave one rank 9 replicas
}

TEST(BlockSize, NoSizeIsBetter) {
  // Two k, and sets that begin at different steps.
  RetrainingStarts starts{60, {1, 3}, {{}, {}}};
  for (std::int64_t i = 0; i < 37; ++i) {
    starts.start[0].push_back(40 + (i * 7) % 20);
    starts.start[1].push_back((i * 11) % 50);
  }
  for (const std::int64_t ranks : {1, 2, 3, 8, 100}) {
    const std::int64_t best = best_block_size(starts, 20, ranks);
    const auto share = [&](std::int64_t size) {
      return longest_share(plan_counterfactuals(starts, size), starts.steps, ranks);
    };
    for (std::int64_t size = 1; size <= 20; ++size) {
      EXPECT_LE(share(best), share(size)) << ranks << " ranks, " << size;
      if (size > best) {
        EXPECT_LT(share(best), share(size)) << ranks << " ranks, " << size;
      }
    }
  }
}

}  // namespace
}  // namespace whence
