#include "text_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "whence/core/error.h"
#include "whence/core/text.h"

#include "packed_file.h"

namespace whence {

std::string read_text_file(const std::string& path) {
  PackedFile file(path);
  std::string text;
  for (std::size_t have = 0, want = 1 << 16;; want = std::max(want, have)) {
    text.resize(have + want);
    const std::size_t got = file.read(reinterpret_cast<std::uint8_t*>(text.data()) + have, want);
    have += got;
    // What is no text may go on for ever (/dev/zero), so its beginning has to be enough to tell.
    if (const void* zero = std::memchr(text.data() + have - got, 0, got)) {
      text.resize(static_cast<const char*>(zero) - text.data() + 1);
      break;
    }
    if (got < want) {
      text.resize(have);
      break;
    }
  }
  if (const std::string why = not_text(text); !why.empty()) fail("{}: {}", path, why);
  return std::string(without_mark(text));
}

}  // namespace whence
