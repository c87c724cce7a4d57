// Settings of runs from before some options are those with the options at their defaults.
#include "whence/train/settings_defaults.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sstream>

#include "whence/core/settings_text.h"
#include "whence/train/settings.h"

namespace whence {
namespace {

std::string settings_of(std::vector<std::string> arguments) {
  arguments.emplace_back("--out=unused");
  return choose_options(Options(train_options(), arguments)).settings();
}

std::string without(const std::string& settings, const std::string& name) {
  std::istringstream lines(settings);
  std::string text;
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(name + " = ", 0) != 0) text += line + "\n";
  return text;
}

// Each option of the table in turn, so that one that is still to come is held by this, too.
TEST(SettingsDefaults, AnOptionThatIsNotThereIsAtItsDefault) {
  const std::vector<std::vector<std::string>> runs{{},
                                                   {"--optimiser=adamw", "--preset=paper"},
                                                   {"--optimiser=rmsprop"},
                                                   {"--game=conv-vae"},
                                                   {"--game=script:model.pt"}};
  for (const auto& given : runs) {
    const std::string today = settings_of(given);
    std::size_t tried = 0;
    const OptionTable table = train_options();
    for (const auto& [name, form] : table.forms()) {
      const std::string before = without(today, name);
      const bool is_given = std::any_of(given.begin(), given.end(), [&, &option = name](const auto& one) {
        return one.rfind("--" + option + "=", 0) == 0;
      });
      if (before == today || is_given) continue;
      EXPECT_EQ(run_settings_difference(before, today), "") << name;
      if (given.empty()) {
        EXPECT_EQ(run_settings_difference(today, before), "") << name;
      }
      ++tried;
    }
    EXPECT_GT(tried, 45U);
  }
}

// A VAE of before it had activations to choose from names the option all the same: GANs had it.
TEST(SettingsDefaults, AnOptionThatOtherGamesHadIsAtItsDefault) {
  const std::string today = settings_of({"--game=mlp-vae"});
  const std::string before = without(today, "activation") + "activation = preset\n";
  EXPECT_EQ(run_settings_difference(before, today), "");
  EXPECT_EQ(run_settings_difference(before, settings_of({"--game=mlp-vae", "--activation=tanh"})),
            "activation is relu there and tanh here");
}

TEST(SettingsDefaults, AnotherValueThanTheDefaultIsADifference) {
  const std::string adam = settings_of({"--optimiser=adam", "--beta1=0.5", "--average=0.9", "--warmup=3"});
  for (const char* name : {"beta1", "average", "warmup", "optimiser"})
    EXPECT_NE(run_settings_difference(without(adam, name), adam), "") << name;
  EXPECT_EQ(run_settings_difference(without(adam, "warmup"), adam), "warmup is 0 there and 3 here");
}

TEST(SettingsDefaults, TextsThatTodaysOptionsCannotReadStay) {
  for (const char* text : {"game = chess\nseed = 1\n", "momentum = 0.5\noptimiser = adam\n"})
    EXPECT_EQ(with_defaults(text), text);
  EXPECT_NE(with_defaults("future = 1\nseed = 1\n").find("future = 1\n"), std::string::npos);
  EXPECT_NE(run_settings_difference("future = 1\n", ""), "");
}

}  // namespace
}  // namespace whence
