#include "whence/train/history.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace whence {
namespace {

TEST(History, MomentsAreSpreadFromTheFirstStepToTheLast) {
  using Steps = std::vector<std::int64_t>;
  EXPECT_EQ(moments_of(9, 10), (Steps{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(moments_of(100, 3), (Steps{0, 50, 100}));
  EXPECT_EQ(moments_of(2, 10), (Steps{0, 1, 2}));
}

TEST(History, DivergenceIsALossThatIsNoNumberOrFarOff) {
  const std::vector<std::string> players{"generator", "discriminator"};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(divergence_in_words(players, {0.7, 1.4}, {9, 1e-5}), "");
  EXPECT_EQ(divergence_in_words(players, {0.7, 200}, {150, 9000}), "");
  EXPECT_NE(
      divergence_in_words(players, {0.7, 1.4}, {171, 1.4}).find("the loss of generator went from 0.7 to 171"),
      std::string::npos);
  EXPECT_NE(divergence_in_words(players, {0.7, 1.4}, {0.7, -500}).find("discriminator"), std::string::npos);
  EXPECT_NE(divergence_in_words(players, {0.7, 1.4}, {0.7, nan}).find("discriminator"), std::string::npos);
  EXPECT_NE(divergence_in_words(players, {0.7, 1.4}, {-INFINITY, 1.4}).find("generator"), std::string::npos);
}

}  // namespace
}  // namespace whence
