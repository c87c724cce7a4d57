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
  return {"small-conv-vae",
          {convolution_layer(2, 3, true, 8, 4, 2, 1), convolution_layer(3, 5, true, 4, 4, 1, 0),
           linear_layer(5, 6, false)},
          {linear_layer(3, 5, true), transposed_layer(5, 3, true, 1, 4, 1, 0),
           transposed_layer(3, 2, false, 4, 4, 2, 1)},
          3,
          1.7,
          likelihood,
          dtype};
}

}  // namespace whence::test
