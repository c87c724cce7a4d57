#pragma once
// Text that comes from users and their files: made visible, read as numbers, compared with known names.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whence {

/// `text` as one visible line for a message: control characters, the byte-order mark, invisible characters
/// and bytes that are no UTF-8 as \n, \t, \xEF..., and cut with "..." after about `most` characters.
std::string visible(std::string_view text, std::size_t most = 200);

/// Without the bytes EF BB BF in front, with which spreadsheets mark UTF-8.
std::string_view without_mark(std::string_view text);

/// Why bytes cannot be lines of text, e.g. "is UTF-16 text, not UTF-8", or "" when nothing speaks against it.
std::string not_text(std::string_view bytes);

/// `text` without blanks, tabs and carriage returns at its ends.
std::string_view trimmed(std::string_view text);

/// The whole number that `text` is from its first to its last character: digits, a minus in front; nothing
/// else, whatever the locale. `out_of_range` is set where it is one that 64 bits cannot hold.
std::optional<std::int64_t> whole_number(std::string_view text, bool* out_of_range = nullptr);

/// The number that `text` is from its first to its last character, decimal sign a point whatever the locale;
/// a plus in front is allowed, hexadecimal is not. NaN and infinity are numbers here. NaN, and `out_of_range`
/// set, where it is one that a double cannot hold.
std::optional<double> real_number(std::string_view text, bool* out_of_range = nullptr);

/// "; did you mean NAME?" (several: "A, B or C") for the known names that `text` is a slip, another spelling
/// or another usual word of; "" when there is none. `front`: written before each name.
std::string did_you_mean(std::string_view text, const std::vector<std::string>& known,
                         const std::string& front = "");

}  // namespace whence
