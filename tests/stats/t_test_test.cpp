#include "whence/stats/t_test.h"

#include <cmath>
#include <gtest/gtest.h>

namespace whence::stats {
namespace {

constexpr double kPi = 3.14159265358979323846;

// With one degree of freedom Student's distribution is Cauchy's, with two it has a closed form.
TEST(OneSampleTTest, ClosedForms) {
  const Summary two = one_sample_t_test({1, 3}, 0);
  EXPECT_EQ(two.mean, 2.0);
  EXPECT_NEAR(two.std, std::sqrt(2.0), 1e-15);
  EXPECT_NEAR(two.p, 1.0 - 2.0 / kPi * std::atan(2.0), 1e-14);
  const Summary three = one_sample_t_test({1, 2, 3}, 1);
  EXPECT_EQ(three.mean, 2.0);
  EXPECT_NEAR(three.std, 1.0, 1e-15);
  const double t = std::sqrt(3.0);
  EXPECT_NEAR(three.p, 1.0 - t / std::sqrt(2.0 + t * t), 1e-14);
}

TEST(OneSampleTTest, IsTwoSided) {
  EXPECT_EQ(one_sample_t_test({1, 3, 4}, 2).p, one_sample_t_test({-1, -3, -4}, -2).p);
  EXPECT_NEAR(one_sample_t_test({1, 3}, 2).p, 1.0, 1e-15);
}

TEST(OneSampleTTest, OneValueHasNoSpread) {
  const Summary summary = one_sample_t_test({4}, 0);
  EXPECT_EQ(summary.mean, 4.0);
  EXPECT_TRUE(std::isnan(summary.std));
  EXPECT_TRUE(std::isnan(summary.p));
}

TEST(OneSampleTTest, EqualValues) {
  // 0.1 + 0.1 + 0.1 is not 0.3 in floating point; the mean of equal values is nevertheless theirs.
  const Summary expected = one_sample_t_test({0.1, 0.1, 0.1}, 0.1);
  EXPECT_EQ(expected.mean, 0.1);
  EXPECT_EQ(expected.std, 0.0);
  EXPECT_EQ(expected.p, 1.0);
  EXPECT_EQ(one_sample_t_test({0.1, 0.1, 0.1}, 0).p, 0.0);
}

}  // namespace
}  // namespace whence::stats
