// CRC-32 as everyone else computes it.
#include "whence/io/checksum.h"

#include <gtest/gtest.h>
#include <string>

#include <ATen/ATen.h>

namespace whence {
namespace {

std::uint32_t crc(const std::string& text, std::uint32_t before = 0) {
  return crc32_of(text.data(), text.size(), before);
}

TEST(Crc32, HasTheStandardCheckValue) {
  EXPECT_EQ(crc("123456789"), 0xcbf43926u);
  EXPECT_EQ(crc(""), 0u);
}

TEST(Crc32, GoesOnFromAnEarlierPart) { EXPECT_EQ(crc("56789", crc("1234")), 0xcbf43926u); }

TEST(Crc32, OfPartsJoinsToThatOfTheWhole) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i * i % 251);
  for (const std::size_t cut : {0, 1, 2, 8, 1000, 2999, 3000}) {
    const std::string first = text.substr(0, cut), second = text.substr(cut);
    EXPECT_EQ(crc32_joined(crc(first), crc(second), second.size()), crc(text)) << cut;
  }
}

TEST(Crc32Join, IsTheOneOfTheWholeForAnyFirstPart) {
  const std::string text = "what is read in two parts has the checksum of the whole";
  for (const std::size_t second : {1, 7, 40}) {
    const Crc32Join join(second);
    const std::string first = text.substr(0, text.size() - second);
    EXPECT_EQ(join(crc(first), crc(text.substr(first.size()))), crc(text)) << second;
  }
}

TEST(Crc32, OfATensorIsThatOfItsBytes) {
  const at::Tensor values = at::arange(10, at::kDouble);
  EXPECT_EQ(crc32_of(values), crc32_of(values.data_ptr(), 80));
  EXPECT_EQ(crc32_of(values.slice(0, 4, 10), crc32_of(values.slice(0, 0, 4))), crc32_of(values));
  EXPECT_EQ(crc32_of(at::empty({0}), 5), 5u);
  EXPECT_ANY_THROW(crc32_of(values.view({2, 5}).t()));
}

}  // namespace
}  // namespace whence
