#pragma once
// A temporary folder of one rank.

#include <filesystem>
#include <gtest/gtest.h>
#include <stdexcept>
#include <stdlib.h>  // mkdtemp is POSIX, not C++
#include <string>

namespace whence::testing {

inline std::string new_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "whence_test_XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  return name;
}

/// A test with such a folder.
class OwnFolder : public ::testing::Test {
 protected:
  ~OwnFolder() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string folder_ = new_folder();
};

}  // namespace whence::testing
