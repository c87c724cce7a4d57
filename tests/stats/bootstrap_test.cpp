// Bootstrap intervals against what theory says of them.

#include "whence/stats/bootstrap.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "whence/core/error.h"

namespace whence::stats {
namespace {

TEST(Bootstrap, OfTwoValuesReachesBoth) {
  // A resample is all 0 or all 1 with probability 1/4 each.
  const Interval found = bootstrap_mean({0, 1});
  EXPECT_EQ(found.mean, 0.5);
  EXPECT_EQ(found.low, 0);
  EXPECT_EQ(found.high, 1);
  const Interval half = bootstrap_mean({0, 1}, 0.4);
  EXPECT_EQ(half.low, 0.5);
  EXPECT_EQ(half.high, 0.5);
}

TEST(Bootstrap, OfManyValuesIsTheNormalInterval) {
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(i % 20);
  const double deviation = std::sqrt((20.0 * 20 - 1) / 12), width = 1.959964 * deviation / 20;
  const Interval found = bootstrap_mean(values);
  EXPECT_DOUBLE_EQ(found.mean, 9.5);
  EXPECT_NEAR(found.low, 9.5 - width, 0.1 * width);
  EXPECT_NEAR(found.high, 9.5 + width, 0.1 * width);
  const Interval again = bootstrap_mean(values);
  EXPECT_EQ(found.low, again.low);
  EXPECT_NE(found.low, bootstrap_mean(values, 0.95, 1).low);
}

TEST(Bootstrap, OfEqualValuesIsThatValue) {
  const Interval found = bootstrap_mean({3, 3, 3});
  EXPECT_EQ(found.low, 3);
  EXPECT_EQ(found.high, 3);
  EXPECT_EQ(bootstrap_mean({7}).high, 7);
}

TEST(Bootstrap, RefusesWhatHasNoMean) {
  EXPECT_THROW(bootstrap_mean({}), Error);
  EXPECT_THROW(bootstrap_mean({1, NAN}), Error);
}

}  // namespace
}  // namespace whence::stats
