#include "whence/core/printable.h"

#include <cstddef>
#include <cstdint>
#include <fmt/format.h>

namespace whence {
namespace {

struct Character {
  std::size_t bytes;  // 0: not UTF-8
  std::uint32_t code;
};

// The UTF-8 character at `at`: shortest form only, no surrogates.
Character character_at(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {1, first};
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return {0, 0};
  std::uint32_t code = first & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {0, 0};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool longer_than_needed = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (longer_than_needed || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return {0, 0};
  return {bytes, code};
}

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
    const Character character = character_at(text, at);
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
