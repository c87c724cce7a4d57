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

/// slope * x, where `slope` [of x's shape] is the slope of a piecewise linear function through 0 at x, whose
/// value that is. A derivative by `slope` is that of first derivatives through this function alone: what they
/// gain when x moves into a piece of another slope.
at::Tensor with_slope(const at::Tensor& x, const at::Tensor& slope);

}  // namespace whence
