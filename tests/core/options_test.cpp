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
  EXPECT_EQ(refusal_of({"--stepz", "3"}), "--stepz: bake has no such option; did you mean --steps?");
  EXPECT_EQ(refusal_of({"--step=3"}), "--step: bake has no such option; did you mean --steps?");
  EXPECT_EQ(refusal_of({"--flavour", "3"}),
            "--flavour: bake has no such option (whence bake --help lists those there are)");
  EXPECT_EQ(refusal([] { Options(table_of_bake(), {}); }), "the option '--out' is required");
  EXPECT_EQ(refusal_of({"--steps", "3", "--steps", "4"}), "--steps: is given twice");
  for (const std::string value : {"three", "3.5", "3x", "1e3", "+3", " 3", "", "0x3", "1_000", "1,000"})
    EXPECT_EQ(refusal_of({"--steps", value}), "--steps: '" + value + "' is not a whole number");
  EXPECT_EQ(refusal_of({"--steps="}), "--steps: '' is not a whole number");
  EXPECT_EQ(refusal_of({"--steps", "99999999999999999999"}),
            "--steps: 99999999999999999999 is more than 64 bits can hold");
  EXPECT_EQ(refusal_of({"--rate", "fast"}), "--rate: 'fast' is not a number");
  EXPECT_EQ(refusal_of({"--rate", "0,5"}), "--rate: '0,5' is not a number (the decimal sign is a point)");
  EXPECT_EQ(refusal_of({"--rate", "1e400"}), "--rate: 1e400 is beyond what float64 can hold");
  EXPECT_EQ(refusal_of({"--seed", "x"}), "--seed: 'x' is not a whole number");
  EXPECT_EQ(refusal_of({"--quiet=yes"}), "--quiet: is a switch and takes no value");
  EXPECT_EQ(refusal([] { Options(table_of_bake(), {"--out", ""}); }), "--out: is empty");
}

TEST(Options, AForgottenValueIsSaidToBeMissing) {
  EXPECT_EQ(refusal_of({"--steps"}), "--steps: a value is missing");
  EXPECT_EQ(refusal_of({"--steps", "--rate", "0"}),
            "--steps: a value is missing: --rate is the next option (a value that begins with -- is given as "
            "--steps=VALUE)");
  EXPECT_EQ(bake({"--game=--odd"}).text("game"), "--odd");
  EXPECT_EQ(bake({"--steps", "-3"}).integer("steps"), -3);
}

TEST(Options, AWordThatIsNoOptionIsNamed) {
  EXPECT_EQ(refusal_of({"200"}), "'200': options begin with --, and this is no option's value");
  EXPECT_EQ(refusal([] { Options(table_of_bake(), {"RUN"}); }),
            "'RUN': options begin with --; did you mean --out RUN?");
  EXPECT_EQ(refusal_of({"steps", "3"}), "'steps': options begin with --; did you mean --steps?");
  EXPECT_EQ(refusal_of({"-steps", "3"}),
            "'-steps': options begin with two plain dashes; did you mean --steps?");
  EXPECT_EQ(refusal_of({"\xE2\x80\x93steps", "3"}),
            "'\xE2\x80\x93steps': options begin with two plain dashes; did you mean --steps?");
  EXPECT_EQ(refusal_of({"--"}), "'--': options begin with two plain dashes");
  EXPECT_EQ(refusal_of({""}), "'': options begin with --, and this is no option's value");
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
  const ConfigFile file("# a remark\n\nsteps = 3\nrate = fast\n");
  const std::string message = refusal_of({file.argument()});
  EXPECT_NE(message.find(".cfg, line 4: rate: 'fast' is not a number"), std::string::npos) << message;
}

TEST(Config, IsReadWithAMarkInFrontAndAnyLineEnds) {
  const ConfigFile file("\xEF\xBB\xBFsteps = 20\r\nrate = 0.5 # half\r\nquiet = true\r\n");
  const Options options = bake({file.argument()});
  EXPECT_EQ(options.integer("steps"), 20);
  EXPECT_EQ(options.real("rate"), 0.5);
  EXPECT_TRUE(options.flag("quiet"));
  const ConfigFile wide(std::string("\xFF\xFEs\0t\0", 6));
  EXPECT_NE(refusal_of({wide.argument()}).find("is UTF-16 text; save it as UTF-8"), std::string::npos);
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
