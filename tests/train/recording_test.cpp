// What --record auto is decided to be.
#include <gtest/gtest.h>

#include "whence/train/automatic_record.h"
#include "whence/train/settings.h"

namespace whence {
namespace {

TEST(AutomaticRecord, KeepsAllWhereTheyFitAndElseAboutTheRootOfTheSteps) {
  constexpr std::int64_t gibibyte = std::int64_t{1} << 30;
  const double endless = 1e18;
  EXPECT_EQ(automatic_record(100, 16 * gibibyte, endless), "all");
  EXPECT_EQ(automatic_record(100, 16 * gibibyte + 1, endless), "checkpoints:10");
  EXPECT_EQ(automatic_record(101, 17 * gibibyte, endless), "checkpoints:11");
  EXPECT_EQ(automatic_record(100, gibibyte, 2.0 * gibibyte), "all");
  EXPECT_EQ(automatic_record(100, gibibyte, 2.0 * gibibyte - 2), "checkpoints:10");
  EXPECT_EQ(automatic_record(1, gibibyte, 0), "checkpoints:1");
}

TEST(AutomaticRecord, IsWrittenIntoTheSettings) {
  const auto settings = [](std::vector<std::string> options) {
    options.insert(options.end(), {"--out", "run"});
    return read_settings(Options(train_options(), options));
  };
  RunSettings run = settings({});
  EXPECT_EQ(run.record, "auto");
  decide_record(run, "checkpoints:71");
  EXPECT_EQ(run.record, "checkpoints:71");
  EXPECT_EQ(record_in(run.text), "checkpoints:71");
  EXPECT_EQ(run.text, settings({"--record", "checkpoints:71"}).text);
  EXPECT_EQ(settings({"--checkpoints", "3"}).text, settings({"--checkpoints", "3", "--record", "all"}).text);
  EXPECT_EQ(settings({"--checkpoints", "3"}).record, "checkpoints:3");
  EXPECT_EQ(record_in("a = 1\n"), "");
}

}  // namespace
}  // namespace whence
