#pragma once
// The native CPU engine of convolutional GANs; NativeEngine finds it for the game dcgan.

#include <memory>
#include <string>

#include "whence/game/dcgan.h"

namespace whence {

/// `variant` as for NativeEngine.
std::unique_ptr<Engine> make_native_conv_engine(const std::shared_ptr<const Dcgan>& game,
                                                const std::string& variant);

}  // namespace whence
