// An error anywhere is everyone's error. Runs on any number of ranks.
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>

#include "whence/comm/communicator.h"
#include "whence/core/error.h"

namespace whence {
namespace {

const Communicator& world() {
  static const Communicator communicator(MPI_COMM_WORLD);
  return communicator;
}

// What this rank sees when `work` runs together: the kind of error and its message.
template <typename Work>
std::string outcome_of(Work work) {
  try {
    world().on_every_rank(work);
  } catch (const UsageError& error) {
    return std::string("usage: ") + error.what();
  } catch (const Error& error) {
    return std::string("error: ") + error.what();
  } catch (const std::exception& error) {
    return std::string("other: ") + error.what();
  }
  return "fine";
}

// An error of one rank among several begins with the rank and its host.
std::string said_by(int rank, const std::string& message) {
  const std::string place = world().broadcast(rank_and_host(), rank);
  return world().size() == 1 ? message : place + ": " + message;
}

TEST(Together, RunsTheWorkOnEveryRank) {
  int runs = 0;
  EXPECT_EQ(outcome_of([&] { ++runs; }), "fine");
  EXPECT_EQ(runs, 1);
}

TEST(Together, OneFailingRankFailsEveryRankWithItsMessage) {
  for (int failing = 0; failing < world().size(); ++failing) {
    EXPECT_EQ(outcome_of([&] {
                if (world().rank() == failing) throw Error("no disk");
              }),
              "error: " + said_by(failing, "no disk"));
  }
}

TEST(Together, UsageErrorsStayUsageErrors) {
  const int last = world().size() - 1;
  EXPECT_EQ(outcome_of([&] {
              if (world().rank() == last) refuse("--steps is wrong");
            }),
            "usage: " + said_by(last, "--steps is wrong"));
}

TEST(Together, AnErrorOfAllRanksIsNobodys) {
  EXPECT_EQ(outcome_of([] { refuse("--steps is wrong"); }), "usage: --steps is wrong");
  EXPECT_EQ(outcome_of([] { fail("no disk"); }), "error: no disk");
  EXPECT_EQ(outcome_of([] { fail("no disk on {}", world().rank()); }),
            "error: " + said_by(0, "no disk on 0"));
}

TEST(Together, TheLowestFailingRankWins) {
  const int lowest = world().size() > 1 ? 1 : 0;
  EXPECT_EQ(outcome_of([&] {
              if (world().rank() > lowest) refuse("usage of rank {}", world().rank());
              if (world().rank() == lowest) fail("rank {}", lowest);
            }),
            "error: " + said_by(lowest, fmt::format("rank {}", lowest)));
}

TEST(Together, CarriesErrorsOfAnyKindAndLength) {
  EXPECT_EQ(outcome_of([] { throw std::runtime_error("standard"); }), "error: standard");
  EXPECT_EQ(outcome_of([] { throw Error(""); }), "error: ");
  const std::string message(100000, 'm');
  EXPECT_EQ(outcome_of([&] {
              if (world().is_root()) throw Error(message);
            }),
            "error: " + said_by(0, message));
}

// The ranks must leave together() in step, or the next collective would pair up wrongly.
TEST(Together, LeavesTheRanksInStep) {
  for (int i = 0; i < 20; ++i) {
    const bool failing = i % 3 == 0;
    EXPECT_EQ(outcome_of([&] {
                if (failing && world().rank() == i % world().size()) fail("round {}", i);
              }),
              failing ? "error: " + said_by(i % world().size(), fmt::format("round {}", i)) : "fine");
    EXPECT_EQ(world().sum(std::int64_t{i}), world().size() * i);
  }
}

TEST(OnRoot, RunsOnRankZeroAloneAndSharesItsError) {
  std::int64_t runs = 0;
  world().on_root([&] { ++runs; });
  EXPECT_EQ(runs, world().is_root() ? 1 : 0);
  EXPECT_EQ(world().sum(runs), 1);
  std::string message;
  try {
    world().on_root([] { fail("the root's disk is full"); });
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_EQ(message, said_by(0, "the root's disk is full"));
  EXPECT_THROW(world().on_root([] { fail("on all ranks"); }), SharedError);
}

TEST(OnRoot, AUsageErrorIsAboutOptionsAndNamesNoRank) {
  std::string message;
  try {
    world().on_root([] { refuse("--run is wrong"); });
  } catch (const SharedUsageError& error) {
    message = error.what();
  }
  EXPECT_EQ(message, "--run is wrong");
}

}  // namespace
}  // namespace whence
