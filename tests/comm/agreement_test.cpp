// What ranks do not have alike is named, with the rank and host that differ. Runs on any number of ranks.
#include "whence/comm/agreement.h"

#include <gtest/gtest.h>
#include <string>

#include "whence/core/error.h"

namespace whence {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

const Communicator& world() {
  static const Communicator communicator(MPI_COMM_WORLD);
  return communicator;
}

int last() { return world().size() - 1; }

// What this rank is told; all ranks have to be told the same.
std::string told_of(const Values& values) {
  std::string told = "alike";
  try {
    check_alike(values, world());
  } catch (const SharedUsageError& error) {
    told = error.what();
  }
  EXPECT_EQ(told, world().broadcast(told));
  return told;
}

// "rank 0 (HOST)".
std::string name_of(int rank) { return world().broadcast(rank_and_host(), rank); }

TEST(Agreement, AlikeIsFine) {
  EXPECT_EQ(told_of({}), "alike");
  EXPECT_EQ(told_of({{"--loss", "training"}, {"--empty", ""}, {"--text", "two\nlines 3 4\n"}}), "alike");
}

TEST(Agreement, NamesTheFirstDifferenceAndBothRanks) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const bool other = world().rank() == last();
  EXPECT_EQ(
      told_of({{"--a", "same"}, {"--loss", other ? "scoring" : "training"}, {"--z", other ? "1" : "2"}}),
      "--loss is 'training' on " + name_of(0) + " but 'scoring' on " + name_of(last()) +
          "; all ranks need the same");
}

TEST(Agreement, TheLowestRankThatDiffersIsNamed) {
  if (world().size() < 3) GTEST_SKIP() << "needs two ranks besides rank 0";
  EXPECT_EQ(told_of({{"--seed", std::to_string(world().rank())}}),
            "--seed is '0' on " + name_of(0) + " but '1' on " + name_of(1) + "; all ranks need the same");
}

TEST(Agreement, OfSeveralLinesTheOneThatDiffersIsShown) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const std::string middle = world().rank() == last() ? "" : "b = 1\n";
  const std::string told = told_of({{"settings", "a = 1\n" + middle + "c = 1\n"}});
  EXPECT_EQ(told.find("settings is 'b = 1' on "), 0u) << told;
  EXPECT_NE(told.find("but 'c = 1' on "), std::string::npos) << told;
}

TEST(Agreement, AnEmptyValueAndAMissingLastLineAreDifferences) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const bool other = world().rank() == last();
  EXPECT_NE(told_of({{"--name", other ? "" : "x"}}), "alike");
  EXPECT_NE(told_of({{"settings", other ? "a = 1\nb = 2\n" : "a = 1\n"}}), "alike");
}

TEST(Agreement, RanksMayBringOtherNames) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  Values values{{"--a", "1"}};
  if (world().rank() == last()) values.emplace_back("--b", "1");
  EXPECT_NE(told_of(values), "alike");
  EXPECT_NE(told_of({{world().rank() == last() ? "--b" : "--a", "1"}}), "alike");
}

}  // namespace
}  // namespace whence
