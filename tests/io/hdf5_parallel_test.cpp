// All ranks write one file; any rank reads it alone. Runs on any number of ranks.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/io/hdf5.h"

#include "io/folder.h"

namespace whence {
namespace {

class ParallelH5 : public testing::SharedFolder {
 protected:
  /// The columns of `values` that are this rank's.
  at::Tensor mine(const at::Tensor& values, Range part) const {
    return values.slice(1, part.begin, part.end).contiguous();
  }
  Range part(std::int64_t total) const { return part_of(total, world_.size(), world_.rank()); }
};

const at::Tensor& table() {
  static const at::Tensor values = at::arange(70, at::kDouble).add(0.5).view({7, 10});
  return values;
}

TEST_F(ParallelH5, DisjointSlabsMakeOneArray) {
  {
    const H5File file = H5File::create(path("a.h5"), world_);
    file.set_attribute("text", "of all\nranks");
    const H5Array array = file.create_array("a", at::kDouble, {7, 10}, Fill::sparse);
    // Not collective: each rank at its own pace, row by row, as a trajectory is written.
    const Range part = this->part(10);
    for (std::int64_t row = 0; row < 7; ++row)
      array.write(mine(table().slice(0, row, row + 1), part), {row, part.begin});
  }
  world_.barrier();
  const H5File file = H5File::open_to_read(path("a.h5"));
  EXPECT_EQ(file.attribute("text"), "of all\nranks");
  EXPECT_TRUE(at::equal(file.array("a").read(), table()));
}

TEST_F(ParallelH5, RanksWithoutAPartWriteAnEmptySlab) {
  {
    const H5File file = H5File::create(path("a.h5"), world_);
    const H5Array array = file.create_array("a", at::kDouble, {7, 1}, Fill::sparse);
    const Range part = this->part(1);
    array.write(mine(table().slice(1, 0, 1), part), {0, part.begin});
  }
  world_.barrier();
  EXPECT_TRUE(at::equal(H5File::open_to_read(path("a.h5")).array("a").read(), table().slice(1, 0, 1)));
}

TEST_F(ParallelH5, AFileIsReopenedTogetherAndGoneOnWith) {
  const Range part = this->part(10);
  for (const std::int64_t half : {0, 1}) {
    const H5File file =
        half == 0 ? H5File::create(path("a.h5"), world_) : H5File::open_to_write(path("a.h5"), world_);
    const H5Array array =
        half == 0 ? file.create_array("a", at::kDouble, {7, 10}, Fill::zeros) : file.array("a");
    const std::int64_t begin = half == 0 ? 0 : 3, end = half == 0 ? 3 : 7;
    array.write(mine(table().slice(0, begin, end), part), {begin, part.begin});
  }
  world_.barrier();
  EXPECT_TRUE(at::equal(H5File::open_to_read(path("a.h5")).array("a").read(), table()));
}

TEST_F(ParallelH5, ZerosAreThereBeforeAnyoneWrites) {
  { H5File::create(path("a.h5"), world_).create_array("a", at::kLong, {1000, 3}, Fill::zeros); }
  world_.barrier();
  EXPECT_TRUE(
      at::equal(H5File::open_to_read(path("a.h5")).array("a").read(), at::zeros({1000, 3}, at::kLong)));
}

TEST_F(ParallelH5, AGroupWritesItsOwnFile) {
  const int color = world_.rank() % 2;
  const std::string name = path(std::to_string(color) + ".h5");
  const Communicator group = world_.split(color);
  {
    const H5File file = H5File::create(name, group);
    file.create_array("a", at::kLong, {group.size()}, Fill::sparse)
        .write(at::full({1}, group.rank(), at::kLong), {group.rank()});
  }
  world_.barrier();
  EXPECT_TRUE(at::equal(H5File::open_to_read(name).array("a").read(), at::arange(group.size(), at::kLong)));
}

TEST_F(ParallelH5, AFolderThatIsMissingIsAnErrorOnEveryRank) {
  const std::string name = path("missing/a.h5");
  EXPECT_EQ(testing::message_of([&] { H5File::create(name, world_); }).find(name + ": cannot create it ("),
            0u);
}

}  // namespace
}  // namespace whence
