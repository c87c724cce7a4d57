// Text from users and files: shown, read as numbers, compared with what is known.
#include "whence/core/text.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "whence/core/settings_text.h"

namespace whence {
namespace {

TEST(Visible, ShowsWhatCannotBeSeen) {
  EXPECT_EQ(visible("\xEF\xBB\xBF"
                    "0.5"),
            "\\xEF\\xBB\\xBF0.5");
  EXPECT_EQ(visible("a\tb\nc\r\x1b[31m\x7f"), "a\\tb\\nc\\r\\x1B[31m\\x7F");
  EXPECT_EQ(visible(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(visible("no\xC2\xA0"
                    "break \xE2\x80\x8B zero"),
            "no\\xC2\\xA0"
            "break \\xE2\\x80\\x8B zero");
  EXPECT_EQ(visible("ünï 数 – \xF0\x9F\x99\x82"), "ünï 数 – \xF0\x9F\x99\x82");
}

TEST(Visible, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(visible("\xFF\xFE"
                    "0"),
            "\\xFF\\xFE0");
  EXPECT_EQ(visible("caf\xE9"), "caf\\xE9");              // Latin-1
  EXPECT_EQ(visible("\xC0\xAF"), "\\xC0\\xAF");           // overlong
  EXPECT_EQ(visible("\xED\xA0\x80"), "\\xED\\xA0\\x80");  // half of a surrogate pair
  EXPECT_EQ(visible("\xE2\x82"), "\\xE2\\x82");           // cut short
}

TEST(Visible, CutsLongText) {
  EXPECT_EQ(visible(std::string(1000, 'x'), 10), std::string(10, 'x') + "...");
  EXPECT_EQ(visible("üüü", 3), "üüü");
}

TEST(WholeNumber, IsDigitsAlone) {
  EXPECT_EQ(whole_number("42"), 42);
  EXPECT_EQ(whole_number("-7"), -7);
  EXPECT_EQ(whole_number("9223372036854775807"), 9223372036854775807);
  for (const std::string text :
       {"", " 1", "1 ", "+1", "1e3", "1.0", "0x10", "1_000", "1,000", "--1", "1\xC2\xA0"})
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
  bool out_of_range = false;
  EXPECT_EQ(whole_number("9223372036854775808", &out_of_range), std::nullopt);
  EXPECT_TRUE(out_of_range);
}

TEST(RealNumber, IsTheWholeTextWhateverTheLocale) {
  EXPECT_EQ(real_number("1e-3"), 1e-3);
  EXPECT_EQ(real_number("+.5"), 0.5);
  EXPECT_EQ(real_number("-2."), -2.0);
  EXPECT_TRUE(std::isnan(*real_number("nan")));
  for (const std::string text : {"", "1,5", "1_000", "0x1p3", "1e", "+-1", "++1", " 1", "1 2", "fast"})
    EXPECT_EQ(real_number(text), std::nullopt) << text;
  bool out_of_range = false;
  EXPECT_TRUE(std::isnan(*real_number("1e400", &out_of_range)));
  EXPECT_TRUE(out_of_range);
}

TEST(DidYouMean, KnowsSlipsSpellingsAndOtherWords) {
  const std::vector<std::string> options{
      "batch", "epochs",    "epochs-back", "instances",          "l2",
      "out",   "optimiser", "rate-decay",  "rate-discriminator", "rate-generator"};
  EXPECT_EQ(did_you_mean("epoch", options, "--"), "; did you mean --epochs or --epochs-back?");
  EXPECT_EQ(did_you_mean("optimizer", options), "; did you mean optimiser?");
  EXPECT_EQ(did_you_mean("lr", options), "; did you mean rate-generator or rate-discriminator?");
  EXPECT_EQ(did_you_mean("batch-size", options), "; did you mean batch?");
  EXPECT_EQ(did_you_mean("n", options), "; did you mean instances?");
  EXPECT_EQ(did_you_mean("rate_generator", options), "; did you mean rate-generator?");
  EXPECT_EQ(did_you_mean("EPOCHS", options), "; did you mean epochs?");
  EXPECT_EQ(did_you_mean("istances", options), "; did you mean instances?");
  EXPECT_EQ(did_you_mean("bacth", options), "; did you mean batch?");
  for (const std::string text : {"", "qqqqqqqq", "zz", "verbosity"})
    EXPECT_EQ(did_you_mean(text, options), "") << text;
  EXPECT_EQ(did_you_mean("ALL", {"all", "is", "fid"}), "; did you mean all?");
  EXPECT_EQ(did_you_mean("float", {"float64", "float32"}), "; did you mean float32?");
}

TEST(SettingsDifference, NamesOldAndNewValues) {
  EXPECT_EQ(settings_difference("a = 1\nseed = 0\n", "a = 1\nseed = 3\n"), "seed is 0 there and 3 here");
  EXPECT_EQ(settings_difference("a = 1\n", "b = x\n"),
            "a is 1 there and not given here; b is not given there and x here");
  EXPECT_EQ(settings_difference("rate = 1e-3\n", "rate = 0.001\n"), "");
}

TEST(SettingsDifference, PassesOverPlacesButNotWhatLiesThere) {
  EXPECT_EQ(settings_difference("data = idx:d/x.idx\n", "data = idx:/abs/x.idx\n"), "");
  EXPECT_EQ(settings_difference("data = normal2d\n", "data = idx:x\n"),
            "data is normal2d there and idx:x here");
  EXPECT_EQ(settings_difference("plant = idx:a:3\n", "plant = idx:b:3\n"), "");
  EXPECT_NE(settings_difference("plant = idx:a:3\n", "plant = idx:a:4\n"), "");
  EXPECT_NE(settings_difference("plant = none\n", "plant = idx:a:4\n"), "");
  EXPECT_EQ(settings_difference("without = a.txt\n", "without = /b/a.txt\n"), "");
  EXPECT_NE(settings_difference("without = none\n", "without = a.txt\n"), "");
  EXPECT_EQ(settings_difference("targets = a.txt\n", "targets = b.txt\n"), "");
  EXPECT_NE(settings_difference("targets = 200\n", "targets = 201\n"), "");
  EXPECT_EQ(settings_difference("queries = ids:a\n", "queries = ids:b\n"), "");
  EXPECT_NE(settings_difference("queries = ids:1,2\n", "queries = ids:1,3\n"), "");
}

TEST(SameData, ComparesLabelsWhereTheFileHasThem) {
  const std::string before = "idx N=4 crc32=1", with = before + " labels=7";
  EXPECT_TRUE(same_data(with, with));
  EXPECT_TRUE(same_data(before, with));  // recorded before labels were looked at
  EXPECT_FALSE(same_data(with, before));
  EXPECT_FALSE(same_data(with, before + " labels=8"));
  EXPECT_FALSE(same_data(before, "idx N=5 crc32=1 labels=7"));
}

}  // namespace
}  // namespace whence
