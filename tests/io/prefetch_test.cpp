// What is asked for ahead is in memory before it is read.
#include <chrono>
#include <cstddef>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <ATen/ATen.h>

#include "whence/core/error.h"
#include "whence/io/hdf5.h"

#include "io/folder.h"

namespace whence {
namespace {

using testing::message_of;

class Prefetch : public testing::OwnFolder {};

// What the system has of a file in memory.
class PagesInMemory {
 public:
  explicit PagesInMemory(const std::string& path) : file_(open(path.c_str(), O_RDONLY)) {
    bytes_ = static_cast<std::size_t>(lseek(file_, 0, SEEK_END));
    map_ = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file_, 0);
  }
  ~PagesInMemory() {
    munmap(map_, bytes_);
    close(file_);
  }
  void forget() const {
    fsync(file_);
    posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED);
  }
  std::size_t bytes() const { return count() * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

 private:
  std::size_t count() const {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> there((bytes_ + page - 1) / page);
    mincore(map_, bytes_, there.data());
    std::size_t pages = 0;
    for (const unsigned char one : there) pages += one & 1u;
    return pages;
  }
  int file_;
  std::size_t bytes_;
  void* map_;
};

TEST_F(Prefetch, FetchesTheSlabAndNotTheRest) {
  constexpr std::int64_t rows = 16, numbers = std::int64_t{1} << 19, row_bytes = 8 * numbers;
  H5File::create(path("a.h5")).put("a", at::ones({rows, numbers}, at::kDouble));
  const PagesInMemory pages(path("a.h5"));
  const H5File file = H5File::open_to_read(path("a.h5"));
  const H5Array array = file.array("a");
  pages.forget();
  if (pages.bytes() > row_bytes / 8) GTEST_SKIP() << "this file system keeps its files in memory";
  array.prefetch({9, numbers / 2}, {1, numbers / 2});
  for (int i = 0; i < 200 && pages.bytes() < row_bytes / 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_GE(pages.bytes(), static_cast<std::size_t>(row_bytes / 2));
  EXPECT_LT(pages.bytes(), static_cast<std::size_t>(3 * row_bytes));
}

TEST_F(Prefetch, StaysInsideTheArray) {
  H5File::create(path("a.h5")).put("a", at::ones({2, 3}, at::kDouble));
  const H5File file = H5File::open_to_read(path("a.h5"));
  EXPECT_NE(message_of([&] { file.array("a").prefetch({1, 1}, {1, 3}); }).find("outside"), std::string::npos);
  EXPECT_NO_THROW(file.array("a").prefetch({1, 1}, {1, 0}));
}

}  // namespace
}  // namespace whence
