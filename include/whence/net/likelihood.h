#pragma once
// The names of likelihoods, apart from LibTorch's headers so that kernels can use them.

namespace whence {

/// -log P(x | xi) of a decoder's logits l, up to a constant: `bernoulli` sum_i softplus(l_i) - x_i l_i, for
/// x in [0, 1]; `squared` sum_i (sigmoid(l_i) - x_i)^2.
enum class Likelihood { bernoulli, squared };

}  // namespace whence
