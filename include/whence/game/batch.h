#pragma once
// What one step sees.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace whence {

/// A mini-batch, or one rank's slice of it. Sums over the slices of a mini-batch give the
/// whole: every loss is a sum over rows divided by `divisor`, and exactly one slice carries the penalty.
struct Batch {
  at::Tensor instances;  ///< [b, d] real instances S
  at::Tensor latents;    ///< [l, dz] latents Z, no part of any instance's removal
  std::int64_t divisor;  ///< |S| = |Z| of the whole mini-batch, before any removal
  bool carries_penalty = true;
  at::Tensor labels = {};  ///< [b] int64 class labels of the instances; undefined where the data has none
};

}  // namespace whence
