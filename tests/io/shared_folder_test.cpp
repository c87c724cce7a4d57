// Ranks that mean different folders by one name are found out. Runs on any number of ranks.
#include "whence/io/shared_folder.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <string>

#include "whence/core/error.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

const Communicator& world() {
  static const Communicator communicator(MPI_COMM_WORLD);
  return communicator;
}

// A folder with one of each rank's own in it; the ranks' working folders until the end of the test.
class SharedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = world().broadcast(
        (fs::temp_directory_path() / ("whence-shared-" + std::to_string(::getpid()))).string());
    fs::create_directories(own() / "run");
    fs::current_path(own());
    world().barrier();
  }
  void TearDown() override {
    fs::current_path(before_);
    world().barrier();
    if (world().is_root()) fs::remove_all(folder_);
  }
  fs::path own() const { return fs::path(folder_) / std::to_string(world().rank()); }

  std::string folder_;
  const fs::path before_ = fs::current_path();
};

TEST_F(SharedFolder, OneFolderIsFineAndStaysEmpty) {
  const std::string run = folder_ + "/0/run";
  EXPECT_NO_THROW(check_shared_folder(run, world()));
  world().barrier();
  EXPECT_TRUE(fs::is_empty(run));
}

TEST_F(SharedFolder, AnotherFolderOfTheSameNameIsRefused) {
  for (const char* name : {"run", ""}) {
    std::string told;
    try {
      check_shared_folder(name, world());
    } catch (const SharedUsageError& error) {
      told = error.what();
    }
    if (world().size() == 1) {
      EXPECT_EQ(told, "");
    } else {
      EXPECT_EQ(told.find("rank 1 ("), 0u) << told;
      EXPECT_NE(told.find("is not the folder that rank 0 ("), std::string::npos) << told;
    }
    EXPECT_TRUE(fs::is_empty("run"));
  }
}

}  // namespace
}  // namespace whence
