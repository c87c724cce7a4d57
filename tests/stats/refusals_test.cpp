// What the room refuses, and that the message names the list and the index.
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "whence/core/error.h"
#include "whence/stats/jaccard.h"
#include "whence/stats/rank_correlation.h"
#include "whence/stats/t_test.h"

namespace whence::stats {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename Function>
std::string message_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Refusals, Correlations) {
  EXPECT_EQ(message_of([] { kendall_tau({1, 2}, {1, 2, 3}); }), "kendall_tau: x has 2 values but y has 3");
  EXPECT_EQ(message_of([] { kendall_tau({1}, {1}); }), "kendall_tau: needs at least 2 values, got 1");
  EXPECT_EQ(message_of([] { kendall_tau({1, 2, kNan}, {1, 2, 3}); }), "kendall_tau: x[2] is nan");
  EXPECT_EQ(message_of([] { spearman({1, 2, 3}, {1, kInfinity, 3}); }), "spearman: y[1] is inf");
  EXPECT_EQ(message_of([] { pearson({-kInfinity, 2}, {1, 2}); }), "pearson: x[0] is -inf");
  EXPECT_EQ(message_of([] { pearson({}, {}); }), "pearson: needs at least 2 values, got 0");
}

TEST(Refusals, JaccardCritical) {
  EXPECT_EQ(message_of([] {
              jaccard_critical({1, 2}, {1}, 1);
            }),
            "jaccard_critical: truth has 2 values but estimate has 1");
  EXPECT_EQ(message_of([] {
              jaccard_critical({1, 2, 3}, {1, 2, 3}, 2);
            }),
            "jaccard_critical: 3 values have no 2 smallest and 2 largest");
  EXPECT_EQ(message_of([] {
              jaccard_critical({1, 2, 3}, {1, 2, 3}, 0);
            }),
            "jaccard_critical: needs at least 1 extreme value at each end");
  EXPECT_EQ(message_of([] { jaccard_critical({1, kNan}, {1, 2}, 1); }), "jaccard_critical: truth[1] is nan");
  EXPECT_EQ(message_of([] {
              jaccard_critical({1, 2}, {kInfinity, 2}, 1);
            }),
            "jaccard_critical: estimate[0] is inf");
}

TEST(Refusals, OneSampleTTest) {
  EXPECT_EQ(message_of([] { one_sample_t_test({1, kNan}, 0); }), "one_sample_t_test: values[1] is nan");
  EXPECT_EQ(message_of([] {
              one_sample_t_test({1, 2}, kNan);
            }),
            "one_sample_t_test: the expected mean is nan");
}

TEST(Refusals, JaccardByChance) {
  EXPECT_EQ(message_of([] { jaccard_by_chance(3, 4); }),
            "jaccard_by_chance: there is no Jaccard index of 4-subsets of 3 items");
  EXPECT_EQ(message_of([] { jaccard_by_chance(3, 0); }),
            "jaccard_by_chance: there is no Jaccard index of 0-subsets of 3 items");
}

}  // namespace
}  // namespace whence::stats
