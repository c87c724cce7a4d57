#pragma once
// The engine of VAEs of perceptrons by CPU kernels.

#include <memory>
#include <string>

#include "whence/game/engine.h"
#include "whence/game/vae.h"

namespace whence {

/// See NativeEngine, which is its interface. All layers of `game` are linear ones.
std::unique_ptr<const Engine> make_perceptron_vae_engine(const Vae& game, const std::string& variant);

}  // namespace whence
