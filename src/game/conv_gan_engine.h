#pragma once
// The engine of dcgan by CPU kernels.

#include <memory>
#include <string>

#include "whence/game/dcgan.h"
#include "whence/game/engine.h"

namespace whence {

/// See NativeEngine, which is its interface; `game` outlives the engine.
std::unique_ptr<const Engine> make_conv_gan_engine(const Dcgan& game, const std::string& variant);

}  // namespace whence
