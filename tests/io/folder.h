#pragma once
// Files of tests: a folder that ranks share, bytes, damage.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <stdexcept>
#include <string>

#include "whence/comm/communicator.h"
#include "whence/core/error.h"

#include "support/folder.h"

namespace whence::testing {

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

/// Inverts one bit of the only place in the file where `content` stands.
inline void flip_bit_in(const std::string& path, const std::string& content) {
  std::string bytes = bytes_of(path);
  const std::size_t at = bytes.find(content);
  if (at == std::string::npos || bytes.find(content, at + 1) != std::string::npos)
    throw std::runtime_error(path + ": the content to damage does not stand there once");
  bytes[at + content.size() / 2] ^= 1;
  write_bytes(path, bytes);
}

/// The message of the Error that `action` throws; "no error" where it throws none.
template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// For messages that begin with the rank they come from where there are several.
inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// A test with a folder that all ranks share.
class SharedFolder : public ::testing::Test {
 protected:
  ~SharedFolder() override {
    world_.barrier();
    if (world_.is_root()) std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  const Communicator world_{MPI_COMM_WORLD};
  std::string folder_ = world_.broadcast(world_.is_root() ? new_folder() : std::string());
};

}  // namespace whence::testing
