// Options: what is refused, who wins, and that run.cfg replays.
#include "whence/core/options.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <unistd.h>
#include <vector>

#include "whence/core/error.h"

namespace whence {
namespace {

using Arguments = std::vector<std::string>;

OptionTable table_of_bake() {
  OptionTable table("bake");
  table.add<std::int64_t>("steps", 10, "steps")
      .add<double>("rate", 1e-3, "learning rate")
      .add<std::int64_t>("seed", 1, "seed")
      .add<std::string>("game", "fcgan", "game")
      .add<std::int64_t>("threads", 1, "threads", Kind::execution)
      .required("out", "run folder")
      .repeated("also", "more")
      .flag("quiet", "no progress");
  return table;
}

Options bake(Arguments arguments) {
  arguments.insert(arguments.begin(), "--out=RUN");
  return {table_of_bake(), arguments};
}

template <typename Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal_of(const Arguments& arguments) {
  return refusal([&] { bake(arguments); });
}

// A file in the system's temporary folder that goes away with the test.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : path_(::testing::TempDir() + "whence_options_" + std::to_string(getpid()) + ".cfg") {
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { std::remove(path_.c_str()); }
  std::string argument() const { return "--config=" + path_; }

 private:
  std::string path_;
};

TEST(Options, TakeTheirDefaultsWhenNotGiven) {
  const Options options = bake({});
  EXPECT_EQ(options.integer("steps"), 10);
  EXPECT_EQ(options.real("rate"), 1e-3);
  EXPECT_EQ(options.seed("seed"), 1u);
  EXPECT_EQ(options.text("game"), "fcgan");
  EXPECT_EQ(options.text("out"), "RUN");
  EXPECT_FALSE(options.flag("quiet"));
  EXPECT_EQ(options.texts("also"), Arguments{});
  EXPECT_FALSE(options.given("steps"));
  EXPECT_FALSE(options.given("also"));
  EXPECT_TRUE(options.given("out"));
}

TEST(Options, TakeWhatIsGiven) {
  const Options options = bake({"--steps", "12", "--rate=2.5e-4", "--seed", "9223372036854775807", "--game",
                                "vae", "--also", "a", "--also", "b", "--quiet"});
  EXPECT_EQ(options.integer("steps"), 12);
  EXPECT_EQ(options.real("rate"), 2.5e-4);
  EXPECT_EQ(options.seed("seed"), static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(options.text("game"), "vae");
  EXPECT_EQ(options.texts("also"), (Arguments{"a", "b"}));
  EXPECT_TRUE(options.flag("quiet"));
  EXPECT_TRUE(options.given("steps"));
}

TEST(Options, RefusalsNameTheOption) {
  EXPECT_EQ(refusal_of({"--stepz", "3"}), "unrecognised option '--stepz'");
  EXPECT_EQ(refusal_of({"--step", "3"}), "unrecognised option '--step'");
  EXPECT_EQ(refusal([] { Options(table_of_bake(), {}); }), "the option '--out' is required");
  EXPECT_EQ(refusal_of({"--steps", "3", "--steps", "4"}),
            "option '--steps' cannot be specified more than once");
  EXPECT_EQ(refusal_of({"--steps"}), "the required argument for option '--steps' is missing");
  for (const std::string value : {"three", "3.5", "3x", "99999999999999999999"})
    EXPECT_EQ(refusal_of({"--steps", value}),
              "the argument ('" + value + "') for option '--steps' is invalid");
  EXPECT_EQ(refusal_of({"--rate", "fast"}), "the argument ('fast') for option '--rate' is invalid");
  EXPECT_EQ(refusal_of({"--seed", "x"}), "the argument ('x') for option '--seed' is invalid");
  EXPECT_NE(refusal_of({"--steps="}).find("'--steps'"), std::string::npos);
  EXPECT_NE(refusal_of({"stray"}), "accepted");
}

TEST(Options, RefuseANegativeSeed) { EXPECT_THROW(bake({"--seed=-1"}).seed("seed"), UsageError); }

TEST(Options, HelpNeedsNothingElseAndListsEveryOption) {
  EXPECT_TRUE(Options(table_of_bake(), {"--help"}).flag("help"));
  const std::string help = table_of_bake().help();
  for (const std::string name : {"help", "config", "steps", "rate", "seed", "game", "out", "also", "quiet"})
    EXPECT_NE(help.find("--" + name), std::string::npos) << name;
  EXPECT_NE(help.find("0.001"), std::string::npos);
  EXPECT_NE(help.find("run folder (required)"), std::string::npos);
}

TEST(Options, BoundsAreCheckedAndNamed) {
  const Options options = bake({"--steps=-1", "--rate=0"});
  EXPECT_EQ(options.integer("steps", -1), -1);
  EXPECT_EQ(refusal([&] { options.integer("steps", 0); }), "--steps is -1, but must be at least 0");
  EXPECT_EQ(options.real("rate", 0), 0);
  EXPECT_EQ(refusal([&] { options.real("rate", 0, true); }),
            "--rate is 0, but must be finite and greater than 0");
  EXPECT_EQ(refusal([&] { options.real("rate", 1e-9); }),
            "--rate is 0, but must be finite and at least 1e-09");
  for (const std::string value : {"nan", "inf", "-inf"})
    EXPECT_EQ(refusal([&] { bake({"--rate=" + value}).real("rate", -1); }),
              "--rate is " + value + ", but must be finite and at least -1");
}

TEST(Config, YieldsToTheCommandLine) {
  const ConfigFile file("steps = 20\nrate = 0.5\n# a remark\nout = ELSEWHERE\n");
  const Options options = bake({"--steps=30", file.argument()});
  EXPECT_EQ(options.integer("steps"), 30);
  EXPECT_EQ(options.real("rate"), 0.5);
  EXPECT_EQ(options.text("out"), "RUN");
  EXPECT_TRUE(options.given("rate"));
  EXPECT_FALSE(options.given("seed"));
}

TEST(Config, SuppliesRequiredOptions) {
  const ConfigFile file("out = ELSEWHERE\n");
  EXPECT_EQ(Options(table_of_bake(), {file.argument()}).text("out"), "ELSEWHERE");
}

TEST(Config, IsRefusedLikeTheCommandLine) {
  EXPECT_EQ(refusal_of({"--config=/no/such.cfg"}), "--config: cannot read /no/such.cfg");
  const auto refused = [](const std::string& text, const std::string& option) {
    const ConfigFile file(text);
    const std::string message = refusal_of({file.argument()});
    EXPECT_EQ(message.find(""), 0u) << message;
    EXPECT_NE(message.find(option), std::string::npos) << message;
  };
  refused("stepz = 3\n", "stepz");
  refused("steps = three\n", "steps");
  refused("steps = 3\nsteps = 4\n", "steps");
  refused("steps\n", "steps");
}

TEST(Settings, AreSortedAndLeaveOutHowTheJobIsCarriedOut) {
  EXPECT_EQ(bake({"--threads=3", "--quiet", "--also=x"}).settings(),
            "game = fcgan\nrate = 0.001\nseed = 1\nsteps = 10\n");
}

TEST(Settings, ReplayToIdenticalText) {
  for (const std::string rate : {"1e-3", "0.1", "1e-300", "5e-324", "1.7976931348623157e308",
                                 "0.30000000000000004", "0.3333333333333333", "1e22", "-0.0", "1"})
    for (const std::string game : {"fcgan", "mnist:/data dir/x", "idx:a=b,c", "all:1,2", "ünï"}) {
      const Options first =
          bake({"--rate=" + rate, "--game", game, "--seed=9223372036854775807", "--steps=-3"});
      const ConfigFile file(first.settings());
      const Options again = bake({file.argument()});
      EXPECT_EQ(again.settings(), first.settings());
      EXPECT_EQ(again.real("rate"), std::strtod(rate.c_str(), nullptr));
      EXPECT_EQ(again.text("game"), game);
      EXPECT_EQ(again.seed("seed"), static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    }
}

// A comment sign or a blank at the end, which the file format drops: refused, or replayed like any other.
TEST(Settings, DoNotReplayToAnotherText) {
  for (const std::string game : {"mnist:/data/#1", " before", "after ", "two\nlines"})
    EXPECT_NE(refusal([&] {
                bake({"--game", game}).settings();
              }).find("--game: "),
              std::string::npos)
        << game;
}

}  // namespace
}  // namespace whence
