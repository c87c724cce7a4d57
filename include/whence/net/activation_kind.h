#pragma once
// The names of activations, apart from LibTorch's headers so that kernels can use them.

namespace whence {

enum class Activation { linear, relu, tanh, sigmoid };

}  // namespace whence
