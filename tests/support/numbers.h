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

/// The numbers of tests/metric/scipy_values.py: a linear congruential generator written in both languages.
inline at::Tensor congruential(std::int64_t rows, std::int64_t columns, std::uint32_t state, double scale) {
  at::Tensor values = at::empty({rows, columns}, at::kDouble);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    state = state * 1664525u + 1013904223u;
    values.data_ptr<double>()[i] = scale * (state / 4294967296.0 - 0.5);
  }
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
