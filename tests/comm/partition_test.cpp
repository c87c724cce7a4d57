// Parts of a range cover it exactly, in order.
#include "whence/comm/partition.h"

#include <gtest/gtest.h>

namespace whence {
namespace {

TEST(PartOf, CoversTheRangeExactlyInOrderWithSizesThatDifferByOne) {
  for (const std::int64_t total : {0, 1, 2, 3, 7, 8, 100, 101})
    for (const std::int64_t parts : {1, 2, 3, 4, 7, 8, 150}) {
      std::int64_t end = 0, last = part_of(total, parts, 0).size();
      for (std::int64_t index = 0; index < parts; ++index) {
        const Range part = part_of(total, parts, index);
        EXPECT_EQ(part.begin, end);
        EXPECT_GE(part.size(), total / parts);
        EXPECT_LE(part.size(), (total + parts - 1) / parts);
        EXPECT_LE(part.size(), last) << "the larger parts come first";
        end = part.end;
        last = part.size();
      }
      EXPECT_EQ(end, total) << total << " in " << parts;
    }
}

TEST(PartOf, IsEmptyWhenThereAreMorePartsThanElements) {
  EXPECT_EQ(part_of(2, 5, 1), (Range{1, 2}));
  for (std::int64_t index = 2; index < 5; ++index) EXPECT_EQ(part_of(2, 5, index), (Range{2, 2}));
}

TEST(PartOf, HoldsForRangesBeyond32Bits) {
  const std::int64_t total = (std::int64_t{1} << 40) + 2;
  EXPECT_EQ(part_of(total, 3, 2).end, total);
  EXPECT_EQ(part_of(total, 3, 1).begin, part_of(total, 3, 0).end);
}

}  // namespace
}  // namespace whence
