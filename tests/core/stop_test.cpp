// What signals do while StopSignals lives, and afterwards. Each case in a process of its own.
#include "whence/core/stop.h"

#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>

namespace whence {
namespace {

void expect(bool condition) {
  if (!condition) std::_Exit(3);
}

TEST(StopSignals, RememberEachOfThree) {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT})
    EXPECT_EXIT(
        {
          const StopSignals signals;
          expect(!signals.requested());
          std::raise(signal);
          expect(signals.requested());
          std::_Exit(0);
        },
        ::testing::ExitedWithCode(0), "")
        << signal;
}

TEST(StopSignals, ASecondInterruptEndsTheProcess) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        std::raise(SIGTERM);
        std::raise(SIGTERM);
        std::raise(SIGINT);
        expect(signals.requested());
        std::raise(SIGINT);
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignals, AnIgnoredInterruptStaysIgnored) {
  EXPECT_EXIT(
      {
        std::signal(SIGINT, SIG_IGN);
        {
          const StopSignals signals;
          std::raise(SIGINT);
          std::raise(SIGINT);
          expect(!signals.requested());
        }
        std::raise(SIGINT);
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(StopSignals, AfterwardsInterruptsAndTermsEndAgain) {
  for (const int signal : {SIGTERM, SIGINT})
    EXPECT_EXIT(
        {
          { const StopSignals signals; }
          std::raise(SIGUSR1);
          std::raise(signal);
          std::_Exit(0);
        },
        ::testing::KilledBySignal(signal), "")
        << signal;
}

}  // namespace
}  // namespace whence
