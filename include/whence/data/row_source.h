#pragma once
// Rows of numbers that stay where they lie until they are asked for.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// What is to be known of every row without reading it again.
struct RowMarks {
  std::vector<std::uint32_t> crc;   ///< [R] CRC-32 of the row's bytes, as numbers of the source's dtype
  std::vector<double> least, most;  ///< [R]; least is NaN where gather() may refuse the row

  explicit RowMarks(std::int64_t rows = 0) : crc(rows), least(rows), most(rows) {}
  /// Marks row `row`, which holds `width` numbers.
  template <typename T>
  void mark(std::int64_t row, const T* values, std::int64_t width);
};

class FileRows;

/// R rows of d numbers each.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual std::int64_t size() const = 0;
  virtual std::int64_t width() const = 0;
  virtual at::ScalarType dtype() const = 0;  ///< float32 or float64
  /// [count, d] on the CPU, row i being rows[i]. Error naming the file where it cannot be read any more.
  virtual at::Tensor gather(const std::int64_t* rows, std::int64_t count) const = 0;
  /// Of all rows; the first call may read all of them.
  virtual const RowMarks& marks() const = 0;
  /// The files that the rows lie in.
  virtual std::vector<const FileRows*> files() const { return {}; }
};

/// The rows of a tensor [R, d], float32 or float64 on the CPU.
class HeldRows : public RowSource {
 public:
  explicit HeldRows(at::Tensor rows);
  std::int64_t size() const override { return rows_.size(0); }
  std::int64_t width() const override { return rows_.size(1); }
  at::ScalarType dtype() const override { return rows_.scalar_type(); }
  at::Tensor gather(const std::int64_t* rows, std::int64_t count) const override;
  const RowMarks& marks() const override;

 private:
  at::Tensor rows_;
  mutable RowMarks marks_;  // empty until they are asked for
};

}  // namespace whence
