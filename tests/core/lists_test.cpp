// Lists of numbers in an option's value.
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "whence/core/error.h"
#include "whence/core/options.h"

namespace whence {
namespace {

using Integers = std::vector<std::int64_t>;
using Reals = std::vector<double>;

template <typename List>
std::string refusal(List list, const std::string& text) {
  try {
    list("epochs-back", text);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(SplitList, KeepsOrderAndRefusesEmptyElements) {
  EXPECT_EQ(split_list("metric", "all"), (std::vector<std::string>{"all"}));
  EXPECT_EQ(split_list("metric", "b,a,b"), (std::vector<std::string>{"b", "a", "b"}));
  for (const std::string text : {"", ",", "a,", ",a", "a,,b"})
    EXPECT_EQ(refusal(split_list, text), "--epochs-back: '" + text + "' has an empty element");
}

TEST(IntegerList, IsSortedWithoutRepetition) {
  EXPECT_EQ(integer_list("k", "7"), Integers{7});
  EXPECT_EQ(integer_list("k", "10,1,5,1,10"), (Integers{1, 5, 10}));
  EXPECT_EQ(integer_list("k", "9223372036854775807"), Integers{9223372036854775807});
}

TEST(IntegerList, RefusesWhatIsNotAPositiveWholeNumber) {
  EXPECT_EQ(refusal(integer_list, "1,,5"), "--epochs-back: '1,,5' has an empty element");
  EXPECT_EQ(refusal(integer_list, "1,-5"), "--epochs-back: -5 is not a positive whole number");
  EXPECT_EQ(refusal(integer_list, "0"), "--epochs-back: 0 is not a positive whole number");
  for (const std::string text : {"five", "1.5", "1e3", "nan", "3 4", "5x", "+5", "0x5", "1_000"})
    EXPECT_EQ(refusal(integer_list, "1," + text), "--epochs-back: '" + text + "' is not a whole number");
  EXPECT_EQ(integer_list("k", "1, 5"), (Integers{1, 5}));
}

TEST(IntegerList, RefusesNumbersBeyond64Bits) {
  EXPECT_NE(refusal(integer_list, "99999999999999999999"), "accepted");
}

TEST(RealList, KeepsTheOrderGiven) {
  EXPECT_EQ(real_list("k", "0"), Reals{0});
  EXPECT_EQ(real_list("k", "1e-3,0,0.1,1e-300"), (Reals{1e-3, 0, 0.1, 1e-300}));
}

TEST(RealList, RefusesRepetition) {
  EXPECT_EQ(refusal(real_list, "1e-3,0,0.001"), "--epochs-back: 0.001 is there twice");
}

TEST(RealList, RefusesWhatIsNotAFiniteNumberOfAtLeastZero) {
  EXPECT_EQ(refusal(real_list, "1,"), "--epochs-back: '1,' has an empty element");
  for (const std::string text : {"-1", "-1e-300", "nan", "NaN", "inf", "-inf"})
    EXPECT_EQ(refusal(real_list, "1," + text),
              "--epochs-back: " + text + " is not a finite number of at least 0");
  EXPECT_EQ(refusal(real_list, "1,1e400"), "--epochs-back: 1e400 is beyond what float64 can hold");
  for (const std::string text : {"fast", "1.5x", "1 2", "0x1p3"})
    EXPECT_EQ(refusal(real_list, "1," + text), "--epochs-back: '" + text + "' is not a number");
}

}  // namespace
}  // namespace whence
