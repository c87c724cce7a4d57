#pragma once
// Characters of UTF-8 text.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace whence {

struct Utf8Character {
  std::size_t bytes;  ///< 0: not UTF-8
  std::uint32_t code;
};

/// The character that `text` begins with: shortest form only, no surrogates.
Utf8Character utf8_character(std::string_view text);

}  // namespace whence
