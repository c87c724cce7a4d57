#pragma once
// The part of a kernel density's logarithm that depends on no point.

#include <cmath>

#include <ATen/core/Tensor.h>

namespace whence {

/// -log m - d/2 log 2 pi for centres [m, d].
inline double log_factor(const at::Tensor& centres) {
  constexpr double log_two_pi = 1.8378770664093454835606594728112;
  return -std::log(static_cast<double>(centres.size(0))) - 0.5 * log_two_pi * centres.size(1);
}

}  // namespace whence
