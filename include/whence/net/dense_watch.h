#pragma once
// A look into networks of dense layers while they are computed.

#include <ATen/core/Tensor.h>

#include "whence/net/layer.h"

namespace whence {

/// Sees each dense layer that Network::forward computes, in order, and computes its activation.
class DenseWatch {
 public:
  virtual ~DenseWatch() = default;
  /// act(a) [R, m, out] of a layer's input h [R, m, in] and a = W h + b [R, m, out].
  virtual at::Tensor activated(const Stage& stage, const at::Tensor& h, const at::Tensor& a) = 0;
  /// Said between two networks where the next one's input is not the last one's output itself: for each
  /// sample [R, m], an upper bound of the operator norm of its derivative by that output.
  virtual void passed_on(const at::Tensor& stretch) = 0;
};

}  // namespace whence
