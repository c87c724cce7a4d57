#pragma once
// Reader of the IDX format, in which MNIST and its relatives are published.

#include <cstdint>
#include <functional>
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

/// What the header of such a file says, and whether gzip is around it.
struct IdxHeader {
  std::vector<std::int64_t> shape;
  bool packed = false;
  std::int64_t begin = 0;  ///< byte at which the elements begin, where it is not packed

  std::int64_t rows() const { return shape.front(); }
  std::int64_t width() const;
};

/// Reads the header alone. Throws Error as read_idx does; of a file that is not packed also where it ends
/// early or goes on after its data.
IdxHeader read_idx_header(const std::string& path);

/// Gives the elements to `take`, some at a time. Throws Error as read_idx does.
void unpack_idx(const std::string& path,
                const std::function<void(const void* bytes, std::size_t count)>& take);

}  // namespace whence
