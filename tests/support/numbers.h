#pragma once
// Reproducible numbers for tests.

#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "whence/core/random.h"

namespace whence::test {

/// Standard normal float64 numbers of the given shape; another `seed`, other numbers.
inline at::Tensor normals(std::vector<std::int64_t> shape, int seed) {
  at::Tensor values = at::empty(shape, at::kDouble);
  RandomStream(seed, Purpose::targets, 12345).normal(0, values.data_ptr<double>(), values.numel());
  return values;
}

/// Largest absolute difference over the largest absolute value of `expected`.
inline double relative_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return (actual - expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

/// Whether two tensors hold the same bits (and so the same numbers).
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.equal(b);
}

}  // namespace whence::test
