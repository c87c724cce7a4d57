#pragma once
// The names of activations, apart from LibTorch's headers so that kernels can use them.

namespace whence {

enum class Activation { linear, relu, leaky_relu, tanh, sigmoid };

/// leaky_relu's slope below 0, as DCGAN has it (Radford et al., 2016), where a layer names no other.
constexpr double usual_leak = 0.2;

}  // namespace whence
