// Ranks leave together, whichever of them was asked. Runs on any number of ranks.
#include "whence/comm/stop_vote.h"

#include <csignal>
#include <gtest/gtest.h>

#include "whence/comm/work_queue.h"

namespace whence {
namespace {

class Stopping : public testing::Test {
 protected:
  bool last() const { return world_.rank() == world_.size() - 1; }
  const Communicator world_{MPI_COMM_WORLD};
};

TEST_F(Stopping, ASignalIsRememberedWhileTheObjectLives) {
  for (const int signal : {SIGUSR1, SIGTERM}) {
    const StopSignals signals;
    EXPECT_FALSE(signals.requested());
    std::raise(signal);
    EXPECT_TRUE(signals.requested());
  }
  const StopSignals fresh;
  EXPECT_FALSE(fresh.requested()) << "an earlier object's signal";
}

TEST_F(Stopping, ANoticeThatComesAfterTheWorkDoesNotEndTheProcess) {
  { const StopSignals signals; }
  EXPECT_EQ(std::raise(SIGUSR1), 0);
}

TEST_F(Stopping, AllRanksAgreeOnTheStepAfterOneWasAsked) {
  const StopSignals signals;
  StopVote vote(signals, world_);
  std::int64_t stopped = 0;
  for (std::int64_t step = 0; stopped == 0; ++step) {
    if (step == 1000 && last()) std::raise(SIGUSR1);
    if (vote.agreed()) stopped = step;
    ASSERT_TRUE(stopped == 0 || step >= 1000);
  }
  EXPECT_EQ(world_.sum(stopped), world_.size() * stopped);
  EXPECT_EQ(world_.max(vote.seconds()), vote.seconds());
}

TEST_F(Stopping, AStoppedQueueHasNothingMoreForAnyRank) {
  const StopSignals signals;
  WorkQueue queue(world_, 1000000);
  EXPECT_TRUE(queue.next().has_value());
  EXPECT_FALSE(queue.stopped(signals));
  world_.barrier();
  if (last()) std::raise(SIGTERM);
  while (!queue.stopped(signals)) queue.progress();
  world_.barrier();
  EXPECT_FALSE(queue.next().has_value());
}

}  // namespace
}  // namespace whence
