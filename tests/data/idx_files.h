#pragma once
// Small IDX files, good and bad, in a folder that goes away with the test.

#include <cstdint>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>
#include <zlib.h>

#include "support/folder.h"

namespace whence::testing {

using Bytes = std::vector<std::uint8_t>;

/// A header of unsigned bytes with these sizes.
inline Bytes idx_header(const std::vector<std::uint32_t>& sizes) {
  Bytes bytes = {0, 0, 8, static_cast<std::uint8_t>(sizes.size())};
  for (const std::uint32_t size : sizes)
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
  return bytes;
}

inline Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// `count` bytes that do not repeat soon: element i is 7 i + i / 256 mod 256.
inline Bytes pattern(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(7 * i + i / 256);
  return bytes;
}

/// A test with a temporary folder of its own, and files in it.
class FolderTest : public OwnFolder {
 protected:
  std::string write(const std::string& name, const Bytes& bytes) const {
    std::ofstream file(path(name), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + path(name));
    return path(name);
  }

  std::string write_gzip(const std::string& name, const Bytes& bytes) const {
    const gzFile file = gzopen(path(name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    if (gzclose(file) != Z_OK) throw std::runtime_error("cannot write " + path(name));
    return path(name);
  }

  static Bytes contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

/// The message of the E that `action` throws; a failed check and "" where it throws none.
template <typename E, typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& other) {
    ADD_FAILURE() << "another kind of exception: " << other.what();
    return "";
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

/// $WHENCE_DATA/name, or "" where there is no such folder: the published data sets are not part of the
/// source.
inline std::string published(const std::string& name) {
  const char* root = std::getenv("WHENCE_DATA");
  if (root == nullptr || *root == '\0') return "";
  const std::string path = std::string(root) + "/" + name;
  return std::filesystem::exists(path) ? path : "";
}

}  // namespace whence::testing
