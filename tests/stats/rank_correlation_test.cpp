#include "whence/stats/rank_correlation.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

namespace whence::stats {
namespace {

using Doubles = std::vector<double>;

TEST(KendallTau, PerfectAndReversedOrder) {
  const Doubles x{1, 2, 3, 4, 5};
  const Correlation same = kendall_tau(x, {-3, 0, 0.5, 7, 100});
  EXPECT_EQ(same.value, 1.0);
  EXPECT_NEAR(same.p, 2.0 / 120.0, 1e-15);
  const Correlation reversed = kendall_tau(x, {100, 7, 0.5, 0, -3});
  EXPECT_EQ(reversed.value, -1.0);
  EXPECT_NEAR(reversed.p, 2.0 / 120.0, 1e-15);
}

TEST(KendallTau, ExactDistributionByHand) {
  // Of the 24 permutations of 4 values 1, 3, 5, 6 have 0, 1, 2, 3 inversions.
  const Doubles x{1, 2, 3, 4};
  EXPECT_NEAR(kendall_tau(x, {2, 1, 3, 4}).p, 2.0 * 4 / 24, 1e-15);
  const Correlation two = kendall_tau(x, {3, 1, 2, 4});
  EXPECT_NEAR(two.value, 2.0 / 6, 1e-15);
  EXPECT_NEAR(two.p, 2.0 * 9 / 24, 1e-15);
  const Correlation half = kendall_tau(x, {3, 2, 1, 4});
  EXPECT_EQ(half.value, 0.0);
  EXPECT_EQ(half.p, 1.0);
}

TEST(KendallTau, TiesByHand) {
  // Pairs: 4 concordant, 0 discordant, 1 tied in x only, 1 tied in y only: tau-b = 4 / sqrt(5 * 5).
  const Correlation tied = kendall_tau({1, 1, 2, 3}, {1, 2, 3, 3});
  EXPECT_NEAR(tied.value, 0.8, 1e-15);
  // Variance (12 * 13 - 18 - 18) / 18 + 2 * 1 * 1 / 12 + 0.
  EXPECT_NEAR(tied.p, std::erfc(4.0 / std::sqrt(2.0 * (120.0 / 18 + 2.0 / 12))), 1e-15);
  // A pair tied in both is neither concordant nor discordant: 5 concordant of sqrt(5 * 5).
  EXPECT_NEAR(kendall_tau({1, 1, 2, 3}, {1, 1, 2, 3}).value, 1.0, 1e-15);
}

TEST(KendallTau, AgreesWithCountingAllPairs) {
  Doubles x, y;
  for (int i = 0; i < 60; ++i) {
    x.push_back(i * 37 % 17);
    y.push_back(i * i % 23 + i % 17);
  }
  int score = 0, untied_x = 0, untied_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const int dx = (x[i] > x[j]) - (x[i] < x[j]);
      const int dy = (y[i] > y[j]) - (y[i] < y[j]);
      score += dx * dy;
      untied_x += dx * dx;
      untied_y += dy * dy;
    }
  }
  EXPECT_NEAR(kendall_tau(x, y).value, score / std::sqrt(1.0 * untied_x * untied_y), 1e-14);
}

// Minutes in O(n^2), and more pairs than 32 bits count.
TEST(KendallTau, LongLists) {
  // Halves swapped: (n / 2)^2 discordant pairs leave a score of -n / 2.
  const int n = 300000;
  Doubles x, y;
  for (int i = 0; i < n; ++i) {
    x.push_back(i);
    y.push_back((i + n / 2) % n);
  }
  EXPECT_NEAR(kendall_tau(x, y).value, -1.0 / (n - 1), 1e-15);
}

TEST(Spearman, ByHand) {
  EXPECT_EQ(spearman({1, 2, 3}, {2, 40, 41}), 1.0);
  EXPECT_EQ(spearman({1, 2, 3}, {41, 40, 2}), -1.0);
  EXPECT_NEAR(spearman({1, 2, 3}, {2, 1, 3}), 0.5, 1e-15);
  // Ranks 1.5 1.5 3 and 1 2 3: covariance 1.5, squares 1.5 and 2.
  EXPECT_NEAR(spearman({7, 7, 9}, {1, 2, 3}), 1.5 / std::sqrt(3.0), 1e-15);
}

TEST(Pearson, ByHand) {
  EXPECT_NEAR(pearson({1, 2, 3}, {10, 20, 30}), 1.0, 1e-15);
  EXPECT_NEAR(pearson({1, 2, 3}, {30, 20, 10}), -1.0, 1e-15);
  EXPECT_NEAR(pearson({1, 2, 3}, {0, 0, 3}), std::sqrt(3.0) / 2, 1e-15);
  EXPECT_EQ(pearson({1, 2, 1, 2}, {1, 1, 2, 2}), 0.0);
}

TEST(Pearson, SquaresNeitherOverflowNorUnderflow) {
  EXPECT_NEAR(pearson({1e200, 2e200, 3e200}, {0, 0, 3e-200}), std::sqrt(3.0) / 2, 1e-15);
}

TEST(Correlations, ConstantListsHaveNone) {
  const Doubles x{1, 2, 3};
  const Doubles constant{0.1, 0.1, 0.1};
  EXPECT_TRUE(std::isnan(kendall_tau(x, constant).value));
  EXPECT_TRUE(std::isnan(kendall_tau(constant, x).p));
  Doubles equal, tied;
  for (int i = 0; i < 40; ++i) {
    equal.push_back(0.1);
    tied.push_back(i * i % 7);
    if (i == 0) continue;
    EXPECT_TRUE(std::isnan(kendall_tau(equal, tied).p)) << i;
  }
  for (const auto function : {spearman, pearson}) {
    EXPECT_TRUE(std::isnan(function(x, constant)));
    EXPECT_TRUE(std::isnan(function(constant, x)));
    EXPECT_TRUE(std::isnan(function({0, 0}, {1, 2})));
    EXPECT_TRUE(std::isnan(function(equal, tied)));
  }
}

}  // namespace
}  // namespace whence::stats
