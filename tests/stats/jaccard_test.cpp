#include "whence/stats/jaccard.h"

#include <gtest/gtest.h>
#include <vector>

namespace whence::stats {
namespace {

using Doubles = std::vector<double>;

TEST(JaccardCritical, ByHand) {
  const Doubles truth{0, 1, 2, 3, 4, 5};
  EXPECT_EQ(jaccard_critical(truth, {-9, 7, 3, 2, 8, 9}, 1), 1.0);
  // Smallest 0, largest 4: {0, 5} and {0, 4} share one of three.
  EXPECT_EQ(jaccard_critical(truth, {-9, 7, 3, 2, 9, 8}, 1), 1.0 / 3);
  EXPECT_EQ(jaccard_critical(truth, {4, 0, 3, 2, 9, 5}, 1), 0.0);
  // {0, 1, 4, 5} and {1, 2, 3, 5} share two of six.
  EXPECT_EQ(jaccard_critical(truth, {3, 0, 1, 9, 4, 8}, 2), 2.0 / 6);
  EXPECT_EQ(jaccard_critical(truth, {3, 0, 1, 9, 4, 8}, 3), 1.0);
}

// Both ends form one set: an instance may move from one to the other.
TEST(JaccardCritical, IgnoresWhichEnd) {
  EXPECT_EQ(jaccard_critical({0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, 2), 1.0);
}

TEST(JaccardCritical, BreaksTiesByIndex) {
  const Doubles equal(6, 1.0);
  EXPECT_EQ(jaccard_critical(equal, {0, 1, 2, 3, 4, 5}, 2), 1.0);
  EXPECT_EQ(jaccard_critical(equal, {2, 2, 0, 9, 2, 2}, 1), 0.0);
  // Indices 1 and 2 tie for smallest, 3 and 4 for largest: {1, 4}.
  EXPECT_EQ(jaccard_critical({3, 1, 1, 7, 7, 2}, {3, 1, 4, 5, 7, 2}, 1), 1.0);
}

TEST(JaccardByChance, ByHand) {
  EXPECT_NEAR(jaccard_by_chance(7, 7), 1.0, 1e-15);
  EXPECT_NEAR(jaccard_by_chance(4, 1), 0.25, 1e-15);
  // Two 2-subsets of 3 are the same with probability 1/3, otherwise they share one of three.
  EXPECT_NEAR(jaccard_by_chance(3, 2), 1.0 / 3 + 2.0 / 3 / 3, 1e-15);
  EXPECT_NEAR(jaccard_by_chance(200, 20), 0.0538, 5e-5);
}

TEST(JaccardByChance, LargeSetsNeitherOverflowNorUnderflow) {
  // The overlap concentrates at m * m / n: J = (n / 4) / (3 n / 4).
  EXPECT_NEAR(jaccard_by_chance(2000000, 1000000), 1.0 / 3, 1e-5);
}

}  // namespace
}  // namespace whence::stats
