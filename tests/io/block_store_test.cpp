// Rows that ranks write in any order are all there afterwards, and what is not whole is not counted.
#include "whence/io/block_store.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "whence/core/error.h"

#include "io/folder.h"

namespace whence {
namespace {

using testing::ends_with;
using testing::message_of;

const Schema schema{"whence.test_blocks", 1};
constexpr std::int64_t rows = 7, width = 5;

class Store : public testing::SharedFolder {
 protected:
  BlockStore open(std::int64_t row_count = rows) const {
    return {path("a.h5"), schema, {{"what", "rows"}}, row_count, width, world_};
  }
  at::Tensor row(std::int64_t i) const {
    // With a negative zero, whose sign a sum over ranks would lose.
    const at::Tensor values = at::arange(width, at::kDouble).add(i + 1.0 / 3);
    values[0] = -0.0;
    return values;
  }
  void write_mine(BlockStore& store) const {
    for (std::int64_t i = rows - 1; i >= 0; --i)
      if (i % world_.size() == world_.rank()) store.write(i, row(i));
  }
  /// By rank 0 alone, between two openings.
  void change(const std::function<void(const H5File&)>& how) const {
    world_.on_root([&] { how(H5File::open_to_write(path("a.h5.part"))); });
  }
};

TEST_F(Store, GivesEveryRankTheRowsOfAllBitForBit) {
  BlockStore store = open();
  EXPECT_EQ(store.finished_count(), 0);
  write_mine(store);
  const at::Tensor found = store.close_and_read();
  ASSERT_EQ(found.sizes(), at::IntArrayRef({rows, width}));
  for (std::int64_t i = 0; i < rows; ++i)
    EXPECT_TRUE(at::equal(found[i].view(at::kLong), row(i).view(at::kLong))) << i;
  store.remove();
}

TEST_F(Store, CountsWhatIsWholeOnEveryRank) {
  {
    BlockStore store = open();
    write_mine(store);
    store.close();
  }
  change([](const H5File& file) {
    file.array("rows").write(at::ones({1, 1}, at::kDouble), {2, 3});
    file.array("seal").write(at::zeros({1}, at::kLong), {4});
  });
  BlockStore store = open();
  EXPECT_EQ(store.finished_count(), rows - 2);
  for (std::int64_t i = 0; i < rows; ++i) EXPECT_EQ(store.finished(i), i != 2 && i != 4) << i;
  EXPECT_EQ(message_of([&] { store.close_and_check(); }),
            path("a.h5.part") + ": block 2 is missing or damaged");
}

TEST_F(Store, DoesNotCountARowThatIsNotFinite) {
  {
    BlockStore store = open();
    write_mine(store);
    world_.on_every_rank([] {});  // another rank's row 5 comes first
    at::Tensor wrong = row(5);
    wrong[1] = std::numeric_limits<double>::infinity();
    if (world_.is_root()) store.write(5, wrong);
    store.close();
  }
  BlockStore store = open();
  EXPECT_FALSE(store.finished(5));
  EXPECT_EQ(store.finished_count(), rows - 1);
  store.close();
}

TEST_F(Store, OfOtherSizesOrAttributesIsRefused) {
  open().close();
  const std::string of_other_sizes = message_of([&] { open(rows + 1); });
  EXPECT_TRUE(ends_with(
      of_other_sizes,
      path("a.h5.part") +
          ": it was begun in 7 blocks of 5 numbers, and now there are 8 of 5, as with another version of "
          "the program; --overwrite starts again"))
      << of_other_sizes;
  const std::string of_other_options = message_of([&] {
    BlockStore other(path("a.h5"), schema, {{"what", "lines"}}, rows, width, world_);
  });
  EXPECT_TRUE(
      ends_with(of_other_options, path("a.h5.part") +
                                      ": was begun with other options (what is 'rows' there and 'lines' "
                                      "here); the same options go on with it, --overwrite starts again"))
      << of_other_options;
}

}  // namespace
}  // namespace whence
