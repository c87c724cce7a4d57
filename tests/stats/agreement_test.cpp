#include "whence/stats/agreement.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "whence/stats/jaccard.h"

namespace whence::stats {
namespace {

using Doubles = std::vector<double>;

Doubles up_to(std::size_t n) {
  Doubles values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(static_cast<double>(i));
  return values;
}

void expect_nothing(const Agreement& agreement, const std::string& reason) {
  for (const double figure : {agreement.kendall_tau, agreement.kendall_p, agreement.spearman,
                              agreement.pearson, agreement.jaccard, agreement.jaccard_chance})
    EXPECT_TRUE(std::isnan(figure)) << reason;
  EXPECT_EQ(agreement.reason, reason);
  EXPECT_EQ(agreement.critical, 0u);
}

TEST(Agreement, ListsWithoutAnOrderHaveNoneAndSayWhy) {
  const Doubles equal(40, 0.25), different = up_to(40);
  expect_nothing(agreement(equal, different, 10), "the 40 true influences are equal");
  expect_nothing(agreement(different, equal, 10), "the 40 estimated influences are equal");
  expect_nothing(agreement(equal, equal, 10),
                 "the 40 true influences are equal, the 40 estimated influences are equal");
  expect_nothing(agreement({1}, {2}, 10), "1 target has no order");
  expect_nothing(agreement({}, {}, 10), "0 targets have no order");
  expect_nothing(agreement({1, std::nan(""), 3}, {1, 2, 3}, 1), "the true influence of target 2 of 3 is nan");
  expect_nothing(agreement({1, 2, 3}, {1, 2, std::numeric_limits<double>::infinity()}, 1),
                 "the estimated influence of target 3 of 3 is inf");
}

TEST(Agreement, CriticalSetsOfAllTargetsHaveNoIndex) {
  const Agreement all = agreement(up_to(20), up_to(20), 10);
  EXPECT_EQ(all.kendall_tau, 1.0);
  EXPECT_TRUE(std::isnan(all.jaccard) && std::isnan(all.jaccard_chance));
  EXPECT_EQ(all.reason,
            "the 10 smallest and the 10 largest are all 20 targets, so there is no Jaccard index");
  EXPECT_TRUE(std::isnan(agreement({1, 2}, {1, 2}, 10).jaccard));
}

TEST(Agreement, FewerTargetsUseAQuarterAtEachEnd) {
  EXPECT_EQ(agreement(up_to(21), up_to(21), 10).critical, 10u);
  EXPECT_EQ(agreement(up_to(19), up_to(19), 10).critical, 4u);
  EXPECT_EQ(agreement(up_to(3), up_to(3), 10).critical, 1u);
  EXPECT_EQ(agreement(up_to(19), up_to(19), std::numeric_limits<std::size_t>::max()).critical, 4u);
}

TEST(Summarise, IsOverTheRunsThatHaveAFigure) {
  const Doubles truth = up_to(40);
  const Agreement good = agreement(truth, truth, 5), none = agreement(truth, Doubles(40, 1.0), 5);
  const AgreementSummary summary = summarise({good, none, good});
  EXPECT_EQ(summary.runs_with_tau, 2u);
  EXPECT_EQ(summary.runs_with_jaccard, 2u);
  EXPECT_EQ(summary.kendall_tau.mean, 1.0);
  EXPECT_EQ(summary.kendall_tau.std, 0.0);
  EXPECT_TRUE(std::isnan(summary.kendall_tau.p));
  EXPECT_EQ(summary.jaccard.mean, 1.0);
  const AgreementSummary empty = summarise({none});
  EXPECT_EQ(empty.runs_with_tau, 0u);
  EXPECT_TRUE(std::isnan(empty.kendall_tau.mean) && std::isnan(empty.jaccard_chance) &&
              std::isnan(empty.tied));
}

TEST(Summarise, HoldsEachJaccardIndexAgainstItsOwnChance) {
  Agreement run{0.5, 0.1, 0.5, 0.5, 0, 0, 40, 5, 0, ""};
  std::vector<Agreement> runs;
  std::vector<double> gains;
  for (const auto& [index, chance] : {std::pair{0.5, 0.3}, {0.6, 0.5}, {0.9, 0.4}}) {
    run.jaccard = index;
    run.jaccard_chance = chance;
    runs.push_back(run);
    gains.push_back(index - chance);
  }
  EXPECT_EQ(summarise(runs).jaccard.p, one_sample_t_test(gains, 0).p);
  EXPECT_NEAR(summarise(runs).jaccard_chance, 0.4, 1e-15);
}

}  // namespace
}  // namespace whence::stats
