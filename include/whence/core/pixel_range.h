#pragma once
// What the bytes of images become.

namespace whence {

/// What a pixel of byte p becomes: p / 127.5 - 1 in [-1, 1], or p / 255 in [0, 1].
enum class PixelRange { minus_one_to_one, zero_to_one };

}  // namespace whence
