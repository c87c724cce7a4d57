#pragma once
// Reader of points as text: one instance a line, its numbers with commas (or semicolons, or tabs) between.

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
  std::vector<std::string> header;     ///< names of all columns, empty where the file has none

  std::int64_t rows() const { return static_cast<std::int64_t>(values.size()) / width; }
};

/// Reads a file of finite numbers, plain or gzip, in UTF-8 with or without a byte-order mark. The sign
/// between cells is what the first line has outside quotes: semicolons, else commas, else tabs. Cells may be
/// quoted
/// ("" is a quote); blank lines are passed over, and so are blanks around a cell; there are no comments.
///
/// The first line is a header where none of its cells is a number and one of them does not begin like one.
/// Column numbers, 0, 1, ... or 1, 2, ..., are a header over two or more columns if any other row has a
/// number that is not whole, as in tables written without names; else they could be a row, and are refused.
/// `cluster_column`: the name of a column in the header, or its number, counted from 1; its cells are whole
/// numbers of at least 0.
///
/// Throws Error, naming the file and, where there is one, the line and the column: it cannot be opened, holds
/// no rows, has no such column (or two, and then says which there are) or none beside it, a row has another
/// number of cells than the first, a quote is not closed, or a cell is empty, not a number, not finite (NaN,
/// infinity, out of range), or no cluster.
CsvFile read_csv(const std::string& path, const std::optional<std::string>& cluster_column);

/// "a.csv: 4 points of 2 numbers, with a header (x, y)"
std::string in_words(const std::string& path, const CsvFile& file);

}  // namespace whence
