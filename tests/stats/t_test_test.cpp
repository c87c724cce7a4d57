#include "whence/stats/t_test.h"

#include <cmath>
#include <gtest/gtest.h>

namespace whence::stats {
namespace {

// With two degrees of freedom Student's distribution has a closed form.
TEST(OneSampleTTest, ClosedForm) {
  const Summary three = one_sample_t_test({1, 2, 3}, 1);
  EXPECT_EQ(three.mean, 2.0);
  EXPECT_NEAR(three.std, 1.0, 1e-15);
  const double t = std::sqrt(3.0);
  EXPECT_NEAR(three.p, 1.0 - t / std::sqrt(2.0 + t * t), 1e-14);
}

TEST(OneSampleTTest, IsTwoSided) {
  EXPECT_EQ(one_sample_t_test({1, 3, 4}, 2).p, one_sample_t_test({-1, -3, -4}, -2).p);
  EXPECT_NEAR(one_sample_t_test({1, 2, 3}, 2).p, 1.0, 1e-15);
}

TEST(OneSampleTTest, NoValuesHaveNothing) {
  const Summary summary = one_sample_t_test({}, 0);
  EXPECT_TRUE(std::isnan(summary.mean) && std::isnan(summary.std) && std::isnan(summary.p));
}

TEST(OneSampleTTest, OneValueHasNoSpread) {
  const Summary summary = one_sample_t_test({4}, 0);
  EXPECT_EQ(summary.mean, 4.0);
  EXPECT_TRUE(std::isnan(summary.std));
  EXPECT_TRUE(std::isnan(summary.p));
}

TEST(OneSampleTTest, TwoValuesAreNotTested) {
  const Summary summary = one_sample_t_test({1, 3}, 0);
  EXPECT_EQ(summary.mean, 2.0);
  EXPECT_NEAR(summary.std, std::sqrt(2.0), 1e-15);
  EXPECT_TRUE(std::isnan(summary.p));
}

TEST(OneSampleTTest, EqualValuesAreNotTested) {
  // 0.1 + 0.1 + 0.1 is not 0.3 in floating point; the mean of equal values is nevertheless theirs.
  const Summary equal = one_sample_t_test({0.1, 0.1, 0.1}, 0.1);
  EXPECT_EQ(equal.mean, 0.1);
  EXPECT_EQ(equal.std, 0.0);
  EXPECT_TRUE(std::isnan(equal.p));
  EXPECT_TRUE(std::isnan(one_sample_t_test({0.1, 0.1, 0.1}, 0).p));
  EXPECT_TRUE(std::isnan(one_sample_t_test({1.0, 1.0, std::nextafter(1.0, 0.0)}, 0).p));
}

TEST(OneSampleTTest, SquaresNeitherOverflowNorUnderflow) {
  for (const double unit : {1e300, 1e-300}) {
    const Summary summary = one_sample_t_test({unit, 2 * unit, 3 * unit}, unit);
    EXPECT_NEAR(summary.mean / unit, 2.0, 1e-14);
    EXPECT_NEAR(summary.std / unit, 1.0, 1e-14);
    EXPECT_NEAR(summary.p, one_sample_t_test({1, 2, 3}, 1).p, 1e-14);
  }
}

}  // namespace
}  // namespace whence::stats
