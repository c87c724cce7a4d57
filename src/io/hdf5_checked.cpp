#include "hdf5_checked.h"

#include <filesystem>

namespace whence {
namespace {

herr_t keep_deepest(unsigned, const H5E_error2_t* error, void* text) {
  if (error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

void silence_hdf5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

void expect_file(const std::string& path) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) fail("{}: no such file", path);
  if (!std::filesystem::is_regular_file(status)) fail("{}: is not a file", path);
}

// The innermost description on HDF5's error stack, which is the one that says what happened.
std::string hdf5_cause() {
  std::string cause = "unknown HDF5 error";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_deepest, &cause);
  H5Eclear2(H5E_DEFAULT);
  // Failed reads and writes carry times and addresses; what the system said is what helps.
  const std::string mark = "error message = '";
  if (const auto begin = cause.find(mark); begin != std::string::npos)
    return cause.substr(begin + mark.size(), cause.find('\'', begin + mark.size()) - begin - mark.size());
  return cause.substr(0, cause.find(": time ="));
}

hid_t file_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return H5T_IEEE_F32LE;
    case at::kDouble:
      return H5T_IEEE_F64LE;
    case at::kLong:
      return H5T_STD_I64LE;
    case at::kInt:
      return H5T_STD_I32LE;
    default:
      fail("HDF5: arrays of {} are not supported", at::toString(dtype));
  }
}

hid_t memory_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return H5T_NATIVE_FLOAT;
    case at::kDouble:
      return H5T_NATIVE_DOUBLE;
    case at::kLong:
      return H5T_NATIVE_INT64;
    default:
      return H5T_NATIVE_INT32;
  }
}

}  // namespace whence
