#pragma once
// The engine of fcgan by CPU kernels.

#include <memory>
#include <string>

#include "whence/game/engine.h"
#include "whence/game/fcgan.h"

namespace whence {

/// See NativeEngine, which is its interface.
std::unique_ptr<const Engine> make_perceptron_gan_engine(const Fcgan& game, const std::string& variant);

}  // namespace whence
