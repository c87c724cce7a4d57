#pragma once
// Small VAEs of every kind of layer, for tests.

#include "whence/game/vae.h"

namespace whence::test {

inline VaeOptions small_mlp_vae(Likelihood likelihood, at::ScalarType dtype = at::kDouble) {
  VaeOptions options = mlp_vae(12, {9, 7}, 3);
  options.likelihood = likelihood;
  options.beta = 1.7;
  options.dtype = dtype;
  return options;
}

/// Images of 2 x 8 x 8; convolutions with and without padding, transposed ones likewise, linear layers.
inline VaeOptions small_conv_vae(Likelihood likelihood, at::ScalarType dtype = at::kDouble) {
  constexpr auto convolution = LayerKind::convolution, transposed = LayerKind::transposed;
  return {
      "small-conv-vae",
      {2, 8, 8},
      {channels_first_layer(convolution, 4, 2, 1, 3, Activation::relu),
       channels_first_layer(convolution, 4, 1, 0, 5, Activation::relu), linear_layer(6, Activation::linear)},
      {linear_layer(5, Activation::relu), channels_first_layer(transposed, 4, 1, 0, 3, Activation::relu),
       channels_first_layer(transposed, 4, 2, 1, 2, Activation::linear)},
      3,
      1.7,
      likelihood,
      dtype};
}

}  // namespace whence::test
