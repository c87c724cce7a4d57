#include "whence/data/csv.h"

#include <algorithm>
#include <cmath>

#include "whence/core/error.h"
#include "whence/core/text.h"
#include "whence/data/csv_cells.h"

#include "text_file.h"

namespace whence {
namespace {

using Cells = std::vector<std::string>;

constexpr std::size_t shown_of_cell = 60, shown_names = 20;

bool is_number(const std::string& cell) { return real_number(cell).has_value(); }
bool is_whole(const std::string& cell) {
  return !cell.empty() && cell.find_first_not_of("+-0123456789") == std::string::npos;
}

bool unnamed(const std::string& cell) { return cell.empty() || begins_like_number(cell); }

std::string names_of(const Cells& header) {
  std::string list;
  for (std::size_t c = 0; c < std::min(header.size(), shown_names); ++c)
    list += (c == 0 ? "" : ", ") + visible(header[c], shown_of_cell);
  return header.size() > shown_names ? list + ", ..." : list;
}

class Reader {
 public:
  Reader(const std::string& path, const std::optional<std::string>& cluster_column)
      : path_(path), cluster_column_(cluster_column) {}

  CsvFile read() {
    const std::string bytes = read_text_file(path_);
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::string_view text = take_line(rest);
      ++line_;
      if (trimmed(text).empty()) continue;
      if (columns_ == 0 && begin(text, rest)) continue;
      add(cells_in(text));
    }
    if (file_.values.empty()) fail("{}: holds no rows of numbers", path_);
    return std::move(file_);
  }

 private:
  Cells cells_in(std::string_view text) const {
    auto cells = cells_of(text, separator_);
    if (!cells)
      fail("{}: line {}: a quote is not closed, or not around a whole cell: {}", path_, line_,
           visible(text, shown_of_cell));
    return std::move(*cells);
  }

  // Takes the first line's shape; whether it is a header. `rest`: the lines after it.
  bool begin(std::string_view first, std::string_view rest) {
    separator_ = separator_of(first);
    const Cells cells = cells_in(first);
    columns_ = cells.size();
    file_.width = static_cast<std::int64_t>(columns_) - (cluster_column_ ? 1 : 0);
    if (file_.width == 0) fail("{}: has no column beside that of the clusters", path_);
    const bool names = std::none_of(cells.begin(), cells.end(), is_number);
    if (names && std::all_of(cells.begin(), cells.end(), unnamed))
      fail("{}: line {} is neither numbers nor names of columns: {}", path_, line_, names_of(cells));
    const bool column_numbers = numbers_columns(cells);
    if (column_numbers && (columns_ == 1 || !has_fractions(rest)))
      fail(
          "{}: line {} ({}) may number the columns or be a row; give the columns names, take the line out, "
          "or "
          "write {}.0 in place of {}",
          path_, line_, names_of(cells), cells[0], cells[0]);
    if (names || column_numbers) file_.header = cells;
    if (cluster_column_) cluster_ = find_cluster_column();
    return names || column_numbers;
  }

  bool has_fractions(std::string_view rest) const {
    while (!rest.empty()) {
      const std::string_view text = take_line(rest);
      if (trimmed(text).empty()) continue;
      const auto cells = cells_of(text, separator_);
      if (cells && !std::all_of(cells->begin(), cells->end(), is_whole)) return true;
    }
    return false;
  }

  std::string columns_in_words() const {
    if (file_.header.empty()) return fmt::format("{} columns and no header", columns_);
    return fmt::format("the {} columns {}", columns_, names_of(file_.header));
  }

  std::size_t find_cluster_column() const {
    const std::string& wanted = *cluster_column_;
    const auto by_name = std::find(file_.header.begin(), file_.header.end(), wanted);
    const auto number = whole_number(wanted);
    const bool by_number = number && *number >= 1 && *number <= static_cast<std::int64_t>(columns_);
    if (by_name != file_.header.end()) {
      const auto place = static_cast<std::size_t>(by_name - file_.header.begin());
      if (std::find(by_name + 1, file_.header.end(), wanted) != file_.header.end())
        fail("{}: has more than one column '{}'", path_, visible(wanted));
      if (by_number && *number != static_cast<std::int64_t>(place) + 1)
        fail("{}: '{}' is the name of column {} and the number of another; give the columns other names",
             path_, wanted, place + 1);
      return place;
    }
    if (!by_number)
      fail("{}: has no column '{}' for the clusters; it has {}{}", path_, visible(wanted), columns_in_words(),
           did_you_mean(wanted, file_.header));
    return static_cast<std::size_t>(*number) - 1;
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

  double finite(const std::string& cell, std::size_t column) const {
    const std::optional<double> value = real_number(cell);
    if (value && std::isfinite(*value)) return *value;
    const std::string place = fmt::format("{}: line {}, column {}", path_, line_, column + 1);
    const bool comma = cell.find(',') != std::string::npos;
    fail("{}: '{}' is not a {}number{}", place, visible(cell, shown_of_cell), value ? "finite " : "",
         comma ? " (the decimal sign is a point)" : "");
  }

  const std::string& path_;
  const std::optional<std::string>& cluster_column_;
  char separator_ = ',';
  std::int64_t line_ = 0;
  std::size_t columns_ = 0, cluster_ = 0;
  CsvFile file_;
};

}  // namespace

CsvFile read_csv(const std::string& path, const std::optional<std::string>& cluster_column) {
  return Reader(path, cluster_column).read();
}

std::string in_words(const std::string& path, const CsvFile& file) {
  const std::string header =
      file.header.empty() ? "without a header" : fmt::format("with a header ({})", names_of(file.header));
  return fmt::format("{}: {} {} of {} {}{}, {}", path, file.rows(), file.rows() == 1 ? "point" : "points",
                     file.width, file.width == 1 ? "number" : "numbers",
                     file.clusters.empty() ? "" : " with their clusters", header);
}

}  // namespace whence
