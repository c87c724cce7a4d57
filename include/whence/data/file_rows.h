#pragma once
// Rows that stay in their files, in the type that they have there: one copy a node, in the page cache.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "whence/comm/partition.h"
#include "whence/data/dataset.h"

namespace whence {

/// Where rows of numbers lie, one after another.
struct RawRows {
  struct Part {
    std::string path;
    std::int64_t begin = 0;  ///< the byte at which its first row begins
    std::int64_t rows = 0;
  };
  std::string name;                 ///< "a.h5: X", for messages
  std::string array;                ///< "X", where a file has several
  std::vector<Part> parts;          ///< the rows of the first, then those of the second, ...
  std::vector<std::int64_t> shape;  ///< of a row
  at::ScalarType type = at::kByte;  ///< or float16, float32, float64
  bool swapped = false;             ///< whether the byte order is not this machine's
  std::int64_t stride = 0;          ///< bytes from one row to the next
  /// The user's files, where the parts are unpacked copies of them.
  std::vector<std::string> origins = {};

  std::int64_t rows() const;
  std::int64_t width() const;
  /// Bytes of all numbers.
  double bytes() const;
};

/// What rows become after they were read.
struct RowForm {
  at::ScalarType dtype = at::kFloat;
  PixelRange pixels = PixelRange::minus_one_to_one;
  Orientation orientation = Orientation::as_is;
  std::int64_t image_size = 0;
  bool round_resized = false;
};

/// Reads rows as they are asked for and brings them into their form, by the same arithmetic as instances that
/// are held. Bytes are pixels; floats have to be finite (Error naming the file and the row). Every reading
/// looks whether the file is still the one that was opened: Error in a sentence where it was written into or
/// cut short meanwhile. One that was replaced by another is read on.
class FileRows : public RowSource {
 public:
  /// Error naming the file where it cannot be opened or is too short; UsageError where the form does not fit.
  FileRows(RawRows raw, const RowForm& form, DataAccess access);

  std::int64_t size() const override { return raw_.rows(); }
  std::int64_t width() const override { return width_; }
  at::ScalarType dtype() const override { return form_.dtype; }
  at::Tensor gather(const std::int64_t* rows, std::int64_t count) const override;
  /// Those known to the process, or kept on disk (row_marks.h), or computed now and kept.
  const RowMarks& marks() const override;
  std::vector<const FileRows*> files() const override { return {this}; }

  /// Shape of a row in its form.
  const std::vector<std::int64_t>& shape() const { return shape_; }
  const RawRows& raw() const { return raw_; }
  const DataAccess& access() const { return access_; }
  /// What marks are the marks of: names, sizes and times of the files, and the form.
  const std::string& described() const { return described_; }
  /// The array and the form in words, without the files.
  std::string form() const;
  /// Changes with the files themselves: two ranks with the same read the same ones.
  std::uint64_t identity() const { return identity_; }

  /// Marks that need not be computed; null where there are none.
  std::shared_ptr<const RowMarks> known_marks() const;
  /// From now on these are known to the process.
  void know(std::shared_ptr<const RowMarks> marks) const;

  /// Stretches of rows that are read at once where all are.
  std::int64_t pieces() const;
  Range piece(std::int64_t number) const;
  /// CRC-32 of the piece's bytes as they are in the file; marks its rows, unless `marks` is null, also those
  /// that gather() refuses (RowMarks).
  std::uint32_t look_at(std::int64_t piece, RowMarks* marks) const;

 private:
  // A part that is open, as it was then.
  struct Open {
    std::unique_ptr<int, void (*)(int*)> descriptor;
    std::int64_t first = 0;  // its first row's number among all
    std::int64_t size = 0, seconds = 0, nanoseconds = 0;
  };

  std::string state_of(const std::string& path);
  static Open opened(const RawRows::Part& part);
  std::string key() const;
  void expect_unchanged() const;
  void read_stretch(std::int64_t row, std::int64_t count, std::uint8_t* out) const;
  void read_bytes(std::size_t part, std::int64_t begin, std::int64_t bytes, std::uint8_t* out) const;
  // Tells `not_finite` of each row of the `count`, by its place among them, that holds such a number.
  at::Tensor numbers(const std::uint8_t* bytes, std::int64_t count,
                     const std::function<void(std::int64_t, double)>& not_finite) const;
  std::int64_t row_bytes() const;

  RawRows raw_;
  RowForm form_;
  DataAccess access_;
  std::int64_t width_;
  std::vector<std::int64_t> shape_;
  std::vector<Open> open_;
  std::string described_;
  std::uint64_t identity_ = 0;
  at::Tensor pixels_;  ///< [256]: what each byte becomes
  mutable std::shared_ptr<const RowMarks> marks_;
};

}  // namespace whence
