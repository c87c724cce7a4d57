#pragma once
// Reader of NumPy's file of one array, which numpy.save writes.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// An array in a .npy file, its first axis counting rows.
class NpyFile {
 public:
  enum class Numbers { bytes, integers, reals };

  /// Reads the header (NumPy, "NEP 1: A Simple File Format for NumPy Arrays", versions 1 to 3): integers and
  /// floats of 16 to 64 bits and unsigned bytes, of any byte order. Error naming the file where it cannot be
  /// opened or is no such file, has other elements (texts, objects, complex numbers, booleans, fields), its
  /// columns in front (fortran_order), no row or no axis, or ends early or goes on after its numbers.
  explicit NpyFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  /// `bytes` are unsigned integers of 8 bits.
  Numbers numbers() const;
  std::int64_t rows() const { return shape_.front(); }
  /// The product of the sizes after the first.
  std::int64_t width() const;
  /// [count, width] of uint8, int64 or float64. Error naming the file where they cannot be read, or a number
  /// is over int64.
  at::Tensor read(std::int64_t first, std::int64_t count) const;

  /// Bytes of one number, whether its byte order is not this machine's, and where the first one begins.
  std::int64_t number_bytes() const { return size_; }
  bool swapped() const { return swapped_; }
  std::int64_t begin() const { return begin_; }

 private:
  std::string path_;
  std::vector<std::int64_t> shape_;
  char kind_ = 0;          ///< NumPy's: 'u', 'i' or 'f'
  std::int64_t size_ = 0;  ///< bytes of one number
  bool swapped_ = false;   ///< whether its byte order is not this machine's
  std::int64_t begin_ = 0;
};

}  // namespace whence
