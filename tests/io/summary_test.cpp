// summary.json: each job's cost, whoever came before. Runs on any number of ranks.
#include "whence/io/summary.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>

#include "whence/io/artifact.h"

#include "io/folder.h"

namespace whence {
namespace {

class Summary : public testing::SharedFolder {
 protected:
  nlohmann::json recorded(const JobCost& cost) const {
    record_cost(folder_, cost, world_);
    world_.barrier();
    const auto all = nlohmann::json::parse(read_text(path("summary.json")));
    world_.barrier();
    return all;
  }
};

TEST_F(Summary, HoldsTheJobsCost) {
  const double seconds = world_.rank() == world_.size() - 1 ? 4.0 : 1.0;
  const auto all = recorded({"train", seconds, 100, "steps", 12345});
  const auto& train = all.at("train");
  EXPECT_EQ(train.at("ranks"), world_.size());
  EXPECT_EQ(train.at("nodes"), 1);
  EXPECT_EQ(train.at("seconds"), 4.0) << "the slowest rank's";
  EXPECT_EQ(train.at("steps"), 100);
  EXPECT_EQ(train.at("steps_per_second"), 25.0);
  EXPECT_EQ(train.at("bytes_written"), 12345);
  EXPECT_GT(train.at("peak_bytes_a_rank"), 1 << 20);
}

TEST_F(Summary, KeepsOtherJobsEntriesAndReplacesItsOwn) {
  const auto first = recorded({"train", 1.0, 100, "steps", 1});
  recorded({"influence", 2.0, 10, "queries", 2});
  const auto all = recorded({"influence", 3.0, 30, "steps", 3});
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(all.at("train"), first.at("train"));
  EXPECT_EQ(all.at("influence").at("steps"), 30);
  EXPECT_EQ(all.at("influence").count("queries"), 0u) << "nothing of the earlier entry is left";
}

TEST_F(Summary, AddsUpTheStartsOfAnInterruptedJob) {
  recorded({"train", 1.0, 100, "steps", 1000, false});
  recorded({"train", 2.0, 200, "steps", 2000, false});
  const auto train = recorded({"train", 3.0, 300, "steps", 3000}).at("train");
  EXPECT_EQ(train.at("seconds"), 6.0);
  EXPECT_EQ(train.at("steps"), 600);
  EXPECT_EQ(train.at("steps_per_second"), 100.0);
  EXPECT_EQ(train.at("bytes_written"), 6000);
  EXPECT_EQ(train.at("starts"), 3);
  EXPECT_EQ(train.at("finished"), true);
  const auto again = recorded({"train", 4.0, 400, "steps", 4000}).at("train");
  EXPECT_EQ(again.at("steps"), 400) << "a finished job's cost is not added to";
  EXPECT_EQ(again.at("starts"), 1);
}

TEST_F(Summary, HasAnEntryForEachResultOfAJob) {
  recorded({"tracin", 1.0, 100, "gradients", 1, false, -1, "tracin"});
  const auto all = recorded({"tracin", 2.0, 30, "gradients", 2, true, -1, "tracin-other"});
  EXPECT_EQ(all.at("tracin").at("gradients"), 100);
  EXPECT_EQ(all.at("tracin").at("finished"), false);
  EXPECT_EQ(all.at("tracin-other").at("gradients"), 30) << "an interrupted one of another result is added";
  EXPECT_EQ(all.at("tracin-other").at("starts"), 1);
  EXPECT_EQ(
      recorded({"counterfactual", 1.0, 1, "steps", 1, true, -1, "groups"}).count("counterfactual-groups"),
      1u);
}

TEST_F(Summary, CountsARateByTheSecondsOfItsUnits) {
  const auto influence = recorded({"influence", 32.0, 100, "steps", 1, false, 4.0}).at("influence");
  EXPECT_EQ(influence.at("seconds"), 32.0);
  EXPECT_EQ(influence.at("steps_seconds"), 4.0);
  EXPECT_EQ(influence.at("steps_per_second"), 25.0);
  const std::string line = record_cost(folder_, {"influence", 30.0, 60, "steps", 1, true, 4.0}, world_);
  world_.barrier();
  if (world_.is_root()) {
    EXPECT_NE(line.find("1 min 02 s, 160 steps (20 a second)"), std::string::npos) << line;
  }
}

TEST_F(Summary, SaysTheCostInALine) {
  const std::string line = record_cost(folder_, {"train", 2.0, 100, "steps", 2048}, world_);
  if (!world_.is_root()) {
    EXPECT_EQ(line, "");
    return;
  }
  const std::string ranks =
      world_.size() == 1 ? "1 rank on 1 node" : std::to_string(world_.size()) + " ranks on 1 node";
  EXPECT_EQ(
      line.find("train done: " + ranks + ", 2.0 s, 100 steps (50 a second), 2.0 KiB written, peak memory "),
      0u)
      << line;
}

TEST_F(Summary, StaysValidWithoutTimeOrAfterDamage) {
  for (const std::string& damaged : {std::string(), std::string("{\"train\": {"), std::string("[1, 2]")}) {
    world_.on_root([&] { write_text(path("summary.json"), damaged); });
    const auto all = recorded({"train", 0.0, 100, "steps", 1});
    EXPECT_EQ(all.size(), 1u);
    EXPECT_EQ(all.at("train").at("steps_per_second"), 0.0);
  }
}

TEST_F(Summary, ThatCannotBeWrittenIsAnErrorOnEveryRank) {
  const std::string message = testing::message_of([&] {
    record_cost(path("missing"), {"train", 1.0, 1, "steps", 1}, world_);
  });
  // With several ranks the message begins with the one it comes from.
  EXPECT_EQ(message.find(path("missing/")), message.rfind("rank 0", 0) == 0 ? message.find(": ") + 2 : 0u)
      << message;
}

}  // namespace
}  // namespace whence
