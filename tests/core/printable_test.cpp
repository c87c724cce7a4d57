// Nothing that a terminal would obey comes through; everything that it can show does.
#include "whence/core/printable.h"

#include <gtest/gtest.h>
#include <string>

#include <c10/util/Exception.h>

#include "whence/core/error.h"

namespace whence {
namespace {

TEST(Printable, LeavesWhatCanBeShown) {
  for (const std::string& text :
       {std::string(), std::string("plain, 100%\n\ttwo lines"), std::string("ünïcode 数 𝛉 é"),
        std::string("\xc2\xa0\xef\xbf\xbd\xf4\x8f\xbf\xbf")})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesWhatATerminalObeys) {
  EXPECT_EQ(printable("\x1b[2J\x1b]0;title\x07"), "\\x1b[2J\\x1b]0;title\\x07");
  EXPECT_EQ(printable(std::string("a\0b\rc\x7f", 6)), "a\\x00b\\x0dc\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\x9b") << "the control sequence introducer of ISO 6429, as UTF-8";
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b\xe2\x81\xa6"),
            "a\\u202eb\\u2066")
      << "text that runs backwards";
  EXPECT_EQ(printable("a\xe2\x80\xa8"), "a\\u2028");
}

TEST(OneLine, NamesTheWayOutOfADevicesMemory) {
  try {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 23.84 GiB.");
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(one_line(error).find("fewer --replicas"), std::string::npos) << one_line(error);
  }
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\xff\xfe\x80"), "\\xff\\xfe\\x80");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "longer than needed";
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf") << "longer than needed";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "past the last character";
  EXPECT_EQ(printable("\xe6\x95"), "\\xe6\\x95") << "cut off";
}

TEST(Printable, IsWhatErrorsAreSaidBy) {
  EXPECT_EQ(one_line(Error("no\x1b[31m:\nsuch file")), "no\\x1b[31m: such file");
}

}  // namespace
}  // namespace whence
