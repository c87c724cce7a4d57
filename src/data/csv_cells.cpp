#include "whence/data/csv_cells.h"

#include <cctype>

#include "whence/core/text.h"

namespace whence {

std::optional<std::vector<std::string>> cells_of(std::string_view line, char separator) {
  std::vector<std::string> cells;
  std::string cell;
  bool quoted = false, was_quoted = false;
  const auto blank = [&](char c) { return c != separator && (c == ' ' || c == '\t'); };
  const auto end_cell = [&] {
    cells.push_back(was_quoted ? cell : std::string(trimmed(cell)));
    cell.clear();
    was_quoted = false;
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"')
      cell += line[++i];
    else if (quoted && c == '"')
      quoted = false;
    else if (quoted)
      cell += c;
    else if (c == separator)
      end_cell();
    else if (c == '"' && !was_quoted && trimmed(cell).empty()) {
      quoted = was_quoted = true;
      cell.clear();
    } else if (was_quoted && !blank(c))
      return std::nullopt;
    else if (!was_quoted)
      cell += c;
  }
  if (quoted) return std::nullopt;
  end_cell();
  return cells;
}

char separator_of(std::string_view first_line) {
  bool quoted = false, comma = false, tab = false;
  for (const char c : first_line) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == ';') return ';';
    comma = comma || c == ',';
    tab = tab || c == '\t';
  }
  return tab && !comma ? '\t' : ',';
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find_first_of("\r\n");
  const std::string_view line = text.substr(0, end);
  if (end == std::string_view::npos)
    text = {};
  else
    text.remove_prefix(end + (text.substr(end, 2) == "\r\n" ? 2 : 1));
  return line;
}

bool begins_like_number(std::string_view cell) {
  const std::size_t digit = cell.find_first_not_of("+-.,");
  return digit != std::string_view::npos && std::isdigit(static_cast<unsigned char>(cell[digit])) != 0;
}

bool numbers_columns(const std::vector<std::string>& cells) {
  for (const std::size_t first : {0, 1}) {
    std::size_t expected = first;
    for (const std::string& cell : cells) {
      if (cell != std::to_string(expected)) break;
      ++expected;
    }
    if (expected == first + cells.size()) return true;
  }
  return false;
}

}  // namespace whence
