#include "whence/data/csv.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string_view>

#include "whence/core/error.h"

namespace whence {
namespace {

using Cells = std::vector<std::string_view>;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

Cells split(std::string_view line) {
  Cells cells;
  for (std::size_t begin = 0;;) {
    const std::size_t comma = line.find(',', begin);
    cells.push_back(trimmed(line.substr(begin, comma - begin)));
    if (comma == std::string_view::npos) return cells;
    begin = comma + 1;
  }
}

// The number that `cell` is as a whole; NaN and infinity are numbers here. std::from_chars does not ask the
// locale what a decimal point is.
std::optional<double> number(std::string_view cell) {
  if (!cell.empty() && cell.front() == '+') cell.remove_prefix(1);
  double value = 0;
  const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (cell.empty() || end != cell.data() + cell.size()) return std::nullopt;
  return code == std::errc() ? value : std::nan("");
}

class Reader {
 public:
  Reader(const std::string& path, const std::optional<std::string>& cluster_column)
      : path_(path), cluster_column_(cluster_column) {}

  CsvFile read() {
    std::ifstream in(path_);
    if (!in) fail("{}: cannot be opened ({})", path_, std::strerror(errno));
    for (std::string text; std::getline(in, text);) {
      ++line_;
      if (trimmed(text).empty()) continue;
      const Cells cells = split(text);
      if (columns_ == 0 && begin(cells)) continue;
      add(cells);
    }
    if (in.bad()) fail("{}: cannot be read after line {}", path_, line_);
    if (file_.values.empty()) fail("{}: holds no rows of numbers", path_);
    return std::move(file_);
  }

 private:
  // Takes the first line's shape; whether it is a header.
  bool begin(const Cells& cells) {
    columns_ = cells.size();
    const bool header = std::none_of(cells.begin(), cells.end(), [](auto cell) { return number(cell); });
    if (cluster_column_) cluster_ = find_cluster_column(header ? cells : Cells());
    file_.width = static_cast<std::int64_t>(columns_) - (cluster_column_ ? 1 : 0);
    if (file_.width == 0) fail("{}: has no column beside that of the clusters", path_);
    return header;
  }

  std::size_t find_cluster_column(const Cells& header) const {
    const std::string& wanted = *cluster_column_;
    for (std::size_t c = 0; c < header.size(); ++c)
      if (header[c] == wanted) return c;
    std::size_t position = 0;
    const auto [end, code] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), position);
    if (code != std::errc() || end != wanted.data() + wanted.size() || position < 1 || position > columns_)
      fail("{}: has no column '{}' for the clusters; it has {} columns{}", path_, wanted, columns_,
           header.empty() ? " and no header" : "");
    return position - 1;
  }

  void add(const Cells& cells) {
    if (cells.size() != columns_)
      fail("{}: line {} has {} cells, but the first line has {}", path_, line_, cells.size(), columns_);
    for (std::size_t c = 0; c < columns_; ++c) {
      const double value = finite(cells[c], c);
      if (!cluster_column_ || c != cluster_)
        file_.values.push_back(value);
      else if (value >= 0 && value < 1e15 && value == std::floor(value))
        file_.clusters.push_back(static_cast<std::int64_t>(value));
      else
        fail("{}: line {}, column {}: '{}' is not a cluster (a whole number from 0 on)", path_, line_, c + 1,
             cells[c]);
    }
  }

  double finite(std::string_view cell, std::size_t column) const {
    const std::optional<double> value = number(cell);
    if (!value) fail("{}: line {}, column {}: '{}' is not a number", path_, line_, column + 1, cell);
    if (!std::isfinite(*value))
      fail("{}: line {}, column {}: '{}' is not a finite number", path_, line_, column + 1, cell);
    return *value;
  }

  const std::string& path_;
  const std::optional<std::string>& cluster_column_;
  std::int64_t line_ = 0;
  std::size_t columns_ = 0, cluster_ = 0;
  CsvFile file_;
};

}  // namespace

CsvFile read_csv(const std::string& path, const std::optional<std::string>& cluster_column) {
  return Reader(path, cluster_column).read();
}

}  // namespace whence
