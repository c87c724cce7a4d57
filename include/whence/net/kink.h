#pragma once
// The curvature of piecewise linear functions.

#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// 0 with derivative 0 and second derivative sum_k jumps_k N(x; places_k, width), elementwise: added to a
/// piecewise linear f(x) whose slope jumps at those places, it gives f the second derivative that automatic
/// differentiation leaves out, as relu() in net/activation.h has it. Values and first derivatives stay f's.
at::Tensor kink_curvature(const at::Tensor& x, const std::vector<double>& places,
                          const std::vector<double>& jumps, double width);

}  // namespace whence
