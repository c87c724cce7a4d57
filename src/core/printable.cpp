#include "whence/core/printable.h"

#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <string_view>

#include "whence/core/utf8.h"

namespace whence {
namespace {

bool obeyed_by_terminals(std::uint32_t code) {
  if (code == '\n' || code == '\t') return false;
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool changes_direction_or_line(std::uint32_t code) {
  return code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string printable(const std::string& text) {
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = utf8_character(std::string_view(text).substr(at));
    if (character.bytes == 0 || obeyed_by_terminals(character.code)) {
      const std::uint32_t code = character.bytes == 0 ? static_cast<unsigned char>(text[at]) : character.code;
      shown += fmt::format("\\x{:02x}", code);
    } else if (changes_direction_or_line(character.code)) {
      shown += fmt::format("\\u{:04x}", character.code);
    } else {
      shown.append(text, at, character.bytes);
    }
    at += character.bytes == 0 ? 1 : character.bytes;
  }
  return shown;
}

}  // namespace whence
