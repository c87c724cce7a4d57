#pragma once
// A line of a table, cut into cells.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whence {

/// The cells of `line` between the signs `separator`, without blanks around them and without their quotes;
/// nothing where a quote is not closed, or is not around a whole cell.
std::optional<std::vector<std::string>> cells_of(std::string_view line, char separator);

/// The sign between the cells of a file with this first line.
char separator_of(std::string_view first_line);

/// Takes the next line off the front of `text`; lines end with \n, \r\n or \r.
std::string_view take_line(std::string_view& text);

/// Whether a cell that is no number was perhaps meant to be one: "1_000", "0x1F", "3,5".
bool begins_like_number(std::string_view cell);

/// Whether these are the numbers of the columns, 0, 1, ... or 1, 2, ...
bool numbers_columns(const std::vector<std::string>& cells);

}  // namespace whence
