// What the person who started the job reads.
#include "whence/core/progress.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

namespace whence {
namespace {

// Standard error of `action`; a file while it runs, so no terminal.
template <typename Action>
std::string stderr_of(Action action) {
  ::testing::internal::CaptureStderr();
  action();
  return ::testing::internal::GetCapturedStderr();
}

std::string progress_of(bool speaking, std::int64_t total, std::int64_t stride = 1, std::int64_t done = 0) {
  return stderr_of([&] {
    const Log log(speaking);
    Progress progress(log, "training", total, done);
    for (std::int64_t at = done + stride; at <= total; at += stride) progress.advance_to(at);
  });
}

std::ptrdiff_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST(Progress, WritesNothingWhenNotSpeaking) {
  EXPECT_EQ(progress_of(false, 100), "");
  EXPECT_EQ(stderr_of([] { Log(false).say("hello"); }), "");
}

TEST(Progress, WritesALineAtEachTenthOfTheWayIntoALogFile) {
  const std::string text = progress_of(true, 1000);
  EXPECT_EQ(lines(text), 10);
  EXPECT_NE(text.find("training: 100 of 1000 (10%), "), std::string::npos) << text;
  EXPECT_NE(text.find(" left\n"), std::string::npos) << text;
  EXPECT_NE(text.find("training: 1000 of 1000, done in "), std::string::npos) << text;
  EXPECT_EQ(text.find_first_of("\r\033"), std::string::npos) << text;
}

TEST(Progress, BeginsWithWhatIsToBeSaidAtWork) {
  const std::string text = stderr_of([] {
    Log log(true);
    log.say_at_work("prepared");
    log.say("nothing yet");
    for (int turn = 0; turn < 2; ++turn) Progress(log, "training", 10).advance_to(10);
  });
  EXPECT_EQ(lines(text), 4) << text;
  EXPECT_LT(text.find("nothing yet"), text.find("prepared"));
  EXPECT_LT(text.find("prepared"), text.find("training: 10 of 10"));
  EXPECT_EQ(stderr_of([] {
              Log log(true);
              log.say_at_work("prepared");
            }),
            "");
}

TEST(Progress, OfFewUnitsWritesNoLineTwice) {
  EXPECT_EQ(lines(progress_of(true, 3)), 3);
  EXPECT_EQ(lines(progress_of(true, 1000, 500)), 2);
}

TEST(Progress, OfAResumedJobLeavesOutWhatIsDone) {
  const std::string text = progress_of(true, 1000, 1, 700);
  EXPECT_EQ(lines(text), 3);
  EXPECT_EQ(text.find("training: 700 of"), std::string::npos) << text;
}

TEST(Progress, WithinAUnitIsSaidToo) {
  const std::string text = stderr_of([] {
    const Log log(true);
    Progress progress(log, "blocks", 2);
    progress.advance_to(0, 0);
    for (int i = 1; i <= 100; ++i) progress.advance_to(i < 75 ? 0 : 1, i / 100.0);
    progress.advance_to(2);
  });
  EXPECT_EQ(lines(text), 10) << text;
  EXPECT_NE(text.find("blocks: 0 of 2 (10%), "), std::string::npos) << text;
  EXPECT_NE(text.find("blocks: 1 of 2 (80%), "), std::string::npos) << text;
  EXPECT_NE(text.find("blocks: 2 of 2, done in "), std::string::npos) << text;
}

TEST(Progress, OfNoWorkIsSilent) {
  EXPECT_EQ(progress_of(true, 0), "");
  EXPECT_EQ(stderr_of([] {
              const Log log(true);
              Progress(log, "nothing", 0).advance_to(0);
            }),
            "");
}

TEST(Log, WritesWhatItIsTold) {
  const std::string text = stderr_of([] { Log(true).say("100% {} done"); });
  EXPECT_EQ(lines(text), 1);
  EXPECT_NE(text.find("] 100% {} done\n"), std::string::npos) << text;
}

TEST(HumanBytes, PicksTheUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(1.4 * 1024 * 1024 * 1024), "1.4 GiB");
  EXPECT_EQ(human_bytes(0x1p40), "1.0 TiB");
  EXPECT_EQ(human_bytes(0x1p61), "2048.0 PiB");
}

TEST(HumanSeconds, PicksTheUnits) {
  EXPECT_EQ(human_seconds(0), "0.0 s");
  EXPECT_EQ(human_seconds(1.26), "1.3 s");
  EXPECT_EQ(human_seconds(42.4), "42 s");
  EXPECT_EQ(human_seconds(60), "1 min 00 s");
  EXPECT_EQ(human_seconds(125), "2 min 05 s");
  EXPECT_EQ(human_seconds(3599.6), "1 h 00 min");
  EXPECT_EQ(human_seconds(2 * 3600 + 7 * 60 + 59), "2 h 07 min");
  EXPECT_EQ(human_seconds(100 * 3600.0), "100 h 00 min");
}

TEST(HumanUnits, RoundIntoTheNextUnit) {
  EXPECT_EQ(human_seconds(9.96), "10 s");
  EXPECT_EQ(human_seconds(59.7), "1 min 00 s");
  EXPECT_EQ(human_bytes(1023.7), "1.0 KiB");
  EXPECT_EQ(human_bytes(1048575), "1.0 MiB");
}

}  // namespace
}  // namespace whence
