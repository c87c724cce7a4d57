#pragma once
// An array in an HDF5 file that Whence did not write, e.g. one of h5py: any layout that lies in the file
// itself.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/hdf5.h"

namespace whence {

/// An array whose first axis counts rows. Contiguous, compact, chunked and compressed arrays are read, of any
/// byte order; HDF5 converts the numbers.
class ForeignArray {
 public:
  enum class Numbers { bytes, integers, reals };

  /// `name`: with the groups it is in, "train/images". Error naming file and array where there is none, or
  /// where it is a group, a link, virtual or external (its numbers lie in other files), packed by a filter
  /// that this HDF5 has not, has no rows or no axis, has other elements than integers and floats of at most
  /// 64 bits, or promises far more numbers than the file holds.
  ForeignArray(const std::string& path, const std::string& name);

  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }
  const Shape& shape() const { return shape_; }
  /// `bytes` are unsigned integers of 8 bits.
  Numbers numbers() const { return numbers_; }
  std::int64_t rows() const { return shape_.front(); }
  /// The product of the sizes after the first.
  std::int64_t width() const;

  /// Rows that are best read at once: about 32 MiB of them, whole chunks where that is not much more.
  std::int64_t rows_at_once() const;
  /// [count, width] of uint8, int64 or float64. Error naming the file where they cannot be read.
  at::Tensor read(std::int64_t first, std::int64_t count) const;

  /// float16, float32 or float64 of `reals` as they are in the file; uint8 of `bytes`.
  at::ScalarType type_in_file() const { return type_in_file_; }
  /// Whether their byte order is not this machine's.
  bool swapped() const { return swapped_; }
  /// The byte of the file at which the numbers begin, where they lie there in one stretch, unpacked, so that
  /// they can be read without HDF5.
  std::optional<std::int64_t> begin_in_file() const;

 private:
  H5Handle file_, id_;
  std::string path_, name_;
  Shape shape_;
  Numbers numbers_ = Numbers::reals;
  std::int64_t chunk_rows_ = 1;
  at::ScalarType type_in_file_ = at::kByte;
  bool swapped_ = false;
};

/// Whether the file has something of this name. Error naming the file when it cannot be read.
bool has_array(const std::string& path, const std::string& name);

/// The names of all arrays of a file, those in groups as "group/name", in the order of the alphabet; links to
/// elsewhere are left out. Error naming the file when it cannot be read.
std::vector<std::string> arrays_in(const std::string& path);

}  // namespace whence
