// scipy.stats.kendalltau of the three pairs: 0.7333, 0.4667, 0.2000
#include "whence/stats/pairwise_tau.h"

#include <cmath>
#include <gtest/gtest.h>

namespace whence::stats {
namespace {

const std::vector<double> one{0.3, -1.2, 2.5, 0.9, -0.4, 1.1}, two{0.1, -0.8, 1.9, 1.4, 0.2, 0.7},
    three{1.0, -2.0, 0.5, 0.6, -0.1, 3.0}, flat{1, 1, 1, 1, 1, 1};

TEST(PairwiseTau, IsTheMeanOverPairs) {
  EXPECT_NEAR(mean_pairwise_tau({one, two, three}), 0.4666666666666666, 1e-14);
  EXPECT_EQ(mean_pairwise_tau({one, one}), 1);
}

TEST(PairwiseTau, LeavesOutListsWithoutAnOrder) {
  EXPECT_EQ(mean_pairwise_tau({one, flat, one}), 1);
  EXPECT_TRUE(std::isnan(mean_pairwise_tau({one, flat})));
  EXPECT_TRUE(std::isnan(mean_pairwise_tau({{1}, {2}})));
}

}  // namespace
}  // namespace whence::stats
