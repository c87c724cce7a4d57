#include "text_file.h"

#include <algorithm>
#include <cstdint>

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
    if (got < want) {
      text.resize(have);
      break;
    }
  }
  if (const std::string why = not_text(text); !why.empty()) fail("{}: {}", path, why);
  return std::string(without_mark(text));
}

}  // namespace whence
