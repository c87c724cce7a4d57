#pragma once
// Convolutions on processors by the library's fastest operations.

#include <ATen/core/Tensor.h>

#include "whence/net/patches.h"

namespace whence {

/// A convolution y = K * x belongs to a form of three tensors, <y, K * x> = sum over places, channels and
/// taps of y[p, place] K[p, c, tap] x[c, place + tap], linear in each: the image x [n, channels, height,
/// width], the kernel [out, channels, k, k] and the places y [n, out, rows, columns]. These are its
/// derivatives by y, x and K: the convolution, its adjoint (the transposed convolution, whose kernel has the
/// same order in PyTorch), and the kernel's gradient; the derivatives of each one are the other two, so that
/// they can be taken as often as need be.
///
/// All three are asked of the library as parts of a convolution: what it calls a transposed convolution, and
/// the gradient of its kernel, take several times as long in float32 for the same numbers. Where there is one
/// place they are products of matrices. Arguments may lie in any order in memory, and where one of two has
/// its channels last, so may the result.
at::Tensor convolved(const PatchGrid& grid, const at::Tensor& image, const at::Tensor& kernel);
at::Tensor transposed_convolved(const PatchGrid& grid, const at::Tensor& places, const at::Tensor& kernel);
at::Tensor kernel_gradient(const PatchGrid& grid, const at::Tensor& image, const at::Tensor& places);

/// Numbers a sample for the columns that transposed_convolved() goes through, from places of so many channels
/// to an image of few, where that is faster; else 0.
std::int64_t column_numbers(const PatchGrid& grid, std::int64_t channels, at::ScalarType dtype);

/// A kernel [out, channels, k, k] in the order in memory in which the three are fastest on its device; other
/// tensors as they are.
at::Tensor in_fast_order(const at::Tensor& kernel);

}  // namespace whence
