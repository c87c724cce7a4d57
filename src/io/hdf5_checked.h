#pragma once
// HDF5 calls that fail with the file's name and HDF5's own cause.

#include <hdf5.h>
#include <string>
#include <vector>

#include "whence/core/error.h"
#include "whence/io/hdf5.h"

namespace whence {

/// Whence reports HDF5's errors itself; the library's own printout would come once a rank.
void silence_hdf5();

/// Error unless `path` is a file: opening a pipe would wait for its other end, without end.
void expect_file(const std::string& path);

/// What HDF5 says about its last error, on this thread's error stack, which is emptied.
std::string hdf5_cause();

template <typename Result>
Result checked(Result result, const std::string& path, const std::string& action) {
  if (result < 0) fail("{}: cannot {} ({})", path, action, hdf5_cause());
  return result;
}

hid_t file_type(at::ScalarType dtype);
hid_t memory_type(at::ScalarType dtype);

inline std::vector<hsize_t> sizes_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace whence
