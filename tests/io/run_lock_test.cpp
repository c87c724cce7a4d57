// One writer at a time, with the kernel's locks and where a file system has none.
#include "whence/io/run_lock.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/file.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "io/folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using Busy = RunLock::Busy;
using testing::message_of;

int no_locks(int, int) {
  errno = ENOLCK;
  return -1;
}

std::string host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

class Lock : public testing::OwnFolder {
 protected:
  std::unique_ptr<RunLock> take(Busy busy = Busy::refuse) const {
    return std::make_unique<RunLock>(folder_, "result", busy, no_locks);
  }
  std::string refusal() const {
    return message_of([&] { take(); });
  }
  std::string owner() const { return path(".lock.result.owner"); }
  void leave(const std::string& text) const { testing::write_bytes(owner(), text); }
};

TEST_F(Lock, OfTheKernelLeavesNothingBeside) {
  const RunLock lock(folder_, "result");
  EXPECT_EQ(lock.caution(), "");
  EXPECT_FALSE(fs::exists(owner()));
  EXPECT_EQ(message_of([&] { RunLock second(folder_, "result"); }),
            folder_ + ": another job is writing into this run folder");
  EXPECT_EQ(message_of([&] { RunLock other(folder_, "other"); }), "no error");
}

TEST_F(Lock, IsAskedForAgainAfterASignal) {
  int calls = 0;
  const RunLock lock(folder_, "result", Busy::refuse, [&](int descriptor, int operation) {
    errno = EINTR;
    return ++calls < 3 ? -1 : ::flock(descriptor, operation);
  });
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(lock.caution(), "");
}

TEST_F(Lock, OfAFileSystemWithoutLocksIsAFileThatOneJobMakes) {
  for (int i = 0; i < 2; ++i) {
    const auto lock = take();
    EXPECT_NE(lock->caution().find("has no locks"), std::string::npos) << lock->caution();
    EXPECT_NE(lock->caution().find(owner()), std::string::npos) << lock->caution();
    EXPECT_EQ(testing::bytes_of(owner()).find(host() + " " + std::to_string(::getpid()) + " "), 0u);
    EXPECT_EQ(refusal(), folder_ + ": another job is writing into this run folder (process " +
                             std::to_string(::getpid()) + ")");
    EXPECT_NE(message_of([&] { RunLock with_locks(folder_, "result"); }), "no error")
        << "a job whose system has locks must see it, too";
  }
  EXPECT_FALSE(fs::exists(owner()));
}

TEST_F(Lock, OfAnEndedProcessIsTakenOver) {
  const pid_t child = ::fork();
  if (child == 0) {
    new RunLock(folder_, "result", Busy::refuse, no_locks);
    ::_exit(0);  // as a killed job: nothing is tidied up
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_EQ(testing::bytes_of(owner()).find(host() + " " + std::to_string(child) + " "), 0u);
  EXPECT_EQ(refusal(), "no error");
  EXPECT_FALSE(fs::exists(owner()));
}

TEST_F(Lock, OfAnEndedProcessWhoseNumberIsInUseAgainIsTakenOver) {
  leave(host() + " " + std::to_string(::getpid()) + " 1\n");  // of a process that began with the machine
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(Lock, OfAnotherHostIsRefusedWithTheFileToDelete) {
  leave("no-such-host 1 1\n");
  EXPECT_EQ(refusal(),
            folder_ + ": a job on no-such-host is writing into this run folder; if it has ended, delete " +
                owner());
  EXPECT_TRUE(fs::exists(owner()));
  fs::remove(owner());
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(Lock, FileThatNamesNobodyIsRefused) {
  for (const std::string& text : {std::string(), std::string("\n"), std::string("one")}) {
    leave(text);
    EXPECT_NE(refusal().find("delete " + owner()), std::string::npos) << refusal();
  }
}

TEST_F(Lock, WaitsForItsTurn) {
  auto first = take();
  std::atomic<bool> second = false;
  std::thread waiting([&] {
    take(Busy::wait);
    second = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(second);
  first.reset();
  waiting.join();
  EXPECT_TRUE(second);
}

TEST_F(Lock, IsHeldByOneOfManyThatFindAnEndedOne) {
  for (int round = 0; round < 5; ++round) {
    leave(host() + " 2147483646 1\n");  // past the largest process number
    std::atomic<int> holders = 0, most = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        const auto lock = take(Busy::wait);
        const int now = ++holders;
        if (now > most) most = now;
        std::this_thread::yield();
        --holders;
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(most, 1);
  }
}

TEST_F(Lock, CannotBeTakenWhereThereIsNoFolder) {
  EXPECT_EQ(
      message_of([&] { RunLock lock(path("missing")); }).find(path("missing/.lock") + ": cannot open it ("),
      0u);
}

}  // namespace
}  // namespace whence
