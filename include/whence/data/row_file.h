#pragma once
// Files of rows that are read in slices, so that only the instances that are used are ever in memory.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/data/dataset.h"

namespace whence {

/// The rows of one file, each an instance.
class RowFile {
 public:
  virtual ~RowFile() = default;
  /// "a.h5: X", for messages.
  virtual std::string name() const = 0;
  virtual std::int64_t rows() const = 0;
  /// Shape of one row.
  virtual std::vector<std::int64_t> shape() const = 0;
  /// Rows that are best read at once.
  virtual std::int64_t rows_at_once() const = 0;
  /// [count, d]: uint8, which are pixels, or float64.
  virtual at::Tensor read(std::int64_t first, std::int64_t count) const = 0;
};

/// The rows that choose_labelled_rows (rows.h) chooses by `labels` ([N] int64, or undefined): pixels scaled
/// to options.pixels, float64 as they are, in options.dtype. Error naming the file and the row where a number
/// is NaN or infinite, or so large that options.dtype cannot hold it, or there is no memory for the rows.
DataSplit load_rows(const RowFile& file, const at::Tensor& labels, const DataOptions& options);

/// "a.h5:X" or "a.h5", then ",LABELS" where there are some.
struct Hdf5Place {
  std::string file, instances, labels;
};

/// The place of hdf5:FILE[:X[,LABELS]]: FILE ends at the last colon, except that there is no X in what ends
/// in .h5, .hdf5 or .hdf. "" for what is not given.
Hdf5Place hdf5_place(const std::string& place);

}  // namespace whence
