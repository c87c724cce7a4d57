#pragma once
// Reader of the IDX format, in which MNIST and its relatives are published.

#include <cstdint>
#include <string>
#include <vector>

namespace whence {

/// An array of unsigned bytes.
struct IdxFile {
  /// Sizes of the 1 to 4 dimensions, each positive; the first counts the rows.
  std::vector<std::int64_t> shape;
  /// The elements, last dimension fastest; as many as the product of the sizes.
  std::vector<std::uint8_t> bytes;

  std::int64_t rows() const { return shape.front(); }
  /// Bytes of one row: the product of the sizes after the first.
  std::int64_t width() const;
};

/// Reads an IDX file of unsigned bytes, plain or gzip (told by its contents, not by its name).
///
/// Format (Y. LeCun, http://yann.lecun.com/exdb/mnist, "the IDX file format"): bytes 0, 0, 8 (= unsigned
/// byte), rank; then `rank` sizes as big-endian 32-bit integers; then the elements, and nothing after them.
/// Memory grows with what the file provides, never with what its header promises.
///
/// Throws Error, naming the file and the cause: it cannot be opened or unpacked, is not of this format,
/// promises more than 2^40 bytes, ends early, or goes on after its data.
IdxFile read_idx(const std::string& path);

}  // namespace whence
