// All ranks write one file; any rank reads it alone. Runs on any number of ranks.
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <utility>
#include <vector>

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

// As much memory as is asked for, all zeros, of which only what is changed takes any.
class Zeros {
 public:
  explicit Zeros(std::size_t bytes)
      : bytes_(bytes),
        begin_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0)) {}
  ~Zeros() { ::munmap(begin_, bytes_); }
  at::Tensor as(const Shape& shape) const { return at::from_blob(begin_, shape, at::kDouble); }

 private:
  std::size_t bytes_;
  void* begin_;
};

// MPI-IO counts the bytes of one call in an int.
TEST_F(ParallelH5, MoreThan2GiBAreWrittenInOneGo) {
  constexpr std::int64_t rows = 66, columns = (std::int64_t{1} << 22) + 7;
  constexpr std::uintmax_t bytes = rows * columns * sizeof(double);
  if (world_.size() > 1) return;  // once is enough
  if (std::filesystem::space(folder_).available < bytes + (bytes >> 3))
    GTEST_SKIP() << "no 2.4 GB on this disk";
  const Zeros memory(bytes);
  const at::Tensor values = memory.as({rows, columns});
  const std::vector<std::pair<std::int64_t, std::int64_t>> marks{
      {0, 0}, {31, columns - 1}, {32, 5}, {64, 9}, {65, columns - 1}};
  for (const auto& [row, column] : marks) values[row][column] = static_cast<double>(row * columns + column);
  const H5File file = H5File::create(path("a.h5"), world_);
  const H5Array array = file.create_array("a", at::kDouble, {rows, columns}, Fill::sparse);
  array.write(values, {0, 0});
  for (const auto& [row, column] : marks)
    EXPECT_EQ(array.read({row, column}, {1, 1}).item<double>(), static_cast<double>(row * columns + column));
  EXPECT_EQ(array.read({32, 4}, {1, 3}).sum().item<double>(), static_cast<double>(32 * columns + 5));
}

TEST_F(ParallelH5, SlabsGoInSmallPieces) {
  const Range part = this->part(10);
  {
    const H5File file = H5File::create(path("a.h5"), world_);
    const H5Array array = file.create_array("a", at::kDouble, {7, 10}, Fill::sparse);
    array.write(mine(table(), part), {0, part.begin}, /*piece=*/24);
  }
  world_.barrier();
  EXPECT_TRUE(at::equal(H5File::open_to_read(path("a.h5")).array("a").read({0, 0}, {7, 10}, 40), table()));
}

TEST_F(ParallelH5, AFolderThatIsMissingIsAnErrorOnEveryRank) {
  const std::string name = path("missing/a.h5");
  EXPECT_EQ(testing::message_of([&] { H5File::create(name, world_); }).find(name + ": cannot create it ("),
            0u);
}

}  // namespace
}  // namespace whence
