#pragma once
// Isolation forest: how easily an instance is separated from the others, the anomaly baseline of cleansing.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/data/instances.h"

namespace whence {

struct IsolationForestOptions {
  std::int64_t trees = 100;
  std::int64_t samples = 256;  ///< psi, instances a tree is grown from; at most all of them
  std::uint64_t seed = 0;
};

/// The anomaly score s(x, psi) = 2^(-E(h(x)) / c(psi)) of each of `points` [N, d] in
/// a forest grown from them (Liu, Ting and Zhou, "Isolation Forest", ICDM 2008, algorithms 1 to 3, eq. 1 and
/// 2): [N] float64 in (0, 1), larger = more anomalous. A tree splits at a uniformly random place of a random
/// feature that still varies, down to ceil(log2 psi) levels. Tree i depends on the seed and i alone. Error
/// when there are fewer than two points or one is not finite. Holds some points at a time.
at::Tensor isolation_scores(const Instances& points, const IsolationForestOptions& options);

}  // namespace whence
