#pragma once
// Reader of points as text: one instance a line, its numbers with commas between.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace whence {

/// The numbers of a file, and the cluster of each row where a column says so.
struct CsvFile {
  std::int64_t width = 0;              ///< d, numbers a row, without the cluster column
  std::vector<double> values;          ///< [rows * d], row by row
  std::vector<std::int64_t> clusters;  ///< [rows], or empty without a cluster column

  std::int64_t rows() const { return static_cast<std::int64_t>(values.size()) / width; }
};

/// Reads a file of finite numbers. The first line may be a header: it is one where none of its cells is a
/// number. `cluster_column`: the name of a column in the header, or its number, counted from 1; its cells are
/// whole numbers of at least 0. Blank lines are passed over, and so are blanks around a cell; there are no
/// quotes and no comments.
///
/// Throws Error, naming the file and, where there is one, the line and the column: it cannot be opened, holds
/// no rows, has no such column or none beside it, a row has another number of cells than the first, or a cell
/// is empty, not a number, not finite (NaN, infinity, out of range), or no cluster.
CsvFile read_csv(const std::string& path, const std::optional<std::string>& cluster_column);

}  // namespace whence
