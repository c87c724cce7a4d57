#pragma once
// Text from files, folders and other programs on its way to a terminal.

#include <string>

namespace whence {

/// The text with everything escaped that a terminal would obey or could not show: control characters but
/// newline and tab, marks that reverse the direction of writing, and bytes that are not UTF-8, as \x1b or
/// \u202e.
std::string printable(const std::string& text);

}  // namespace whence
