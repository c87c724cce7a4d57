#include "whence/ranking/ranking.h"

#include <gtest/gtest.h>

#include <ATen/ops/tensor.h>

namespace whence {
namespace {

Ranking of(const std::vector<double>& values, bool first_is_largest) {
  Ranking ranking;
  ranking.first_is_largest = first_is_largest;
  for (std::size_t i = 0; i < values.size(); ++i) ranking.ids.push_back(static_cast<std::int64_t>(10 * i));
  ranking.value = at::tensor(values, at::kDouble);
  return ranking;
}

TEST(Ranking, EqualOnesStayInOrderOfPositionFromEitherEnd) {
  using Order = std::vector<std::int64_t>;
  EXPECT_EQ(order_of(of({1, 3, 3, -2, 1}, true)), (Order{1, 2, 0, 4, 3}));
  EXPECT_EQ(order_of(of({1, 3, 3, -2, 1}, false)), (Order{3, 0, 4, 1, 2}));
  EXPECT_TRUE(order_of(of({}, true)).empty());
}

// Harmful is what improves the metric by its absence: influence is V without the instance minus V with it.
TEST(Ranking, HarmfulDependsOnWhichWayTheMetricIsBetter) {
  for (const char* metric : {"all", "is", "log-is"}) {
    Ranking ranking;
    name_ends(ranking, metric, nullptr);
    EXPECT_TRUE(ranking.first_is_largest && ranking.first == "most harmful") << metric;
  }
  for (const char* metric : {"fid", "disc-loss", "gen-loss", "loss", "loss:3"}) {
    Ranking ranking;
    name_ends(ranking, metric, nullptr);
    EXPECT_TRUE(!ranking.first_is_largest && ranking.first == "most harmful") << metric;
  }
  Ranking unknown;
  name_ends(unknown, "a-game's-own", nullptr);
  EXPECT_TRUE(unknown.first_is_largest);
  EXPECT_EQ(unknown.first, "most raised by removal");
}

}  // namespace
}  // namespace whence
