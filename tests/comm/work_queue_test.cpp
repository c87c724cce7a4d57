// Every number goes to exactly one rank. Runs on any number of ranks.
#include "whence/comm/work_queue.h"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>
#include <vector>

namespace whence {
namespace {

const Communicator& world() {
  static const Communicator communicator(MPI_COMM_WORLD);
  return communicator;
}

std::vector<std::uint64_t> take_all(WorkQueue& queue, std::chrono::microseconds work = {}) {
  std::vector<std::uint64_t> taken;
  while (const auto number = queue.next()) {
    taken.push_back(static_cast<std::uint64_t>(*number));
    std::this_thread::sleep_for(work);
    queue.progress();
  }
  return taken;
}

// Each rank's numbers ascend; all ranks' together are 0 .. total-1, each once.
void expect_each_once(const std::vector<std::uint64_t>& mine, std::int64_t total) {
  EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
  std::vector<std::uint64_t> all, expected(total);
  for (const auto& part : world().gather(mine)) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  std::iota(expected.begin(), expected.end(), 0);
  if (world().is_root()) {
    EXPECT_EQ(all, expected);
  }
}

TEST(WorkQueue, HandsOutEachNumberOnceTwiceInARow) {
  for (const std::int64_t total : {1000, 0, 1, 2, 3, 1000}) {
    WorkQueue queue(world(), total);
    expect_each_once(take_all(queue), total);
  }
}

TEST(WorkQueue, StaysEmptyOnceEmpty) {
  WorkQueue queue(world(), 2);
  take_all(queue);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(queue.next().has_value());
}

TEST(WorkQueue, ServesTwoQueuesAtATime) {
  WorkQueue first(world(), 30), second(world(), 20);
  const std::vector<std::uint64_t> of_second = take_all(second), of_first = take_all(first);
  expect_each_once(of_first, 30);
  expect_each_once(of_second, 20);
}

TEST(WorkQueue, GivesSlowRanksLess) {
  WorkQueue queue(world(), 200);
  const bool slow = world().rank() == world().size() - 1 && world().size() > 1;
  const auto mine = take_all(queue, slow ? std::chrono::milliseconds(20) : std::chrono::microseconds(200));
  expect_each_once(mine, 200);
  if (slow) {
    EXPECT_LT(static_cast<int>(mine.size()), 200 / world().size() / 2);
  }
}

TEST(WorkQueue, WorksWithinAGroup) {
  const Communicator group = world().split(world().rank() % 2);
  WorkQueue queue(group, 50);
  EXPECT_EQ(group.sum(static_cast<std::int64_t>(take_all(queue).size())), 50);
}

}  // namespace
}  // namespace whence
