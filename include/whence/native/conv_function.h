#pragma once
// A convolutional network by native kernels: values and pull-backs for one theta, without autograd's graph.

#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/net/network.h"

namespace whence {

/// Works through samples a vector at a time, in little memory whatever their number, shared out over
/// at::get_num_threads() threads for `forward`; the results do not depend on the number of threads. Agrees
/// with Network::forward up to rounding. All tensors have the dtype given, theta is that of the network's
/// layout.
class ConvFunction {
 public:
  /// `net` must outlive this object.
  ConvFunction(const Network& net, at::ScalarType dtype);
  ~ConvFunction();

  /// The outputs [m, values] of the given stages (in ascending order) for x [m, in].
  std::vector<at::Tensor> forward(const at::Tensor& theta, const at::Tensor& x,
                                  const std::vector<std::size_t>& stages) const;

  /// Derivatives of sum(by_output * output), `by_output` one tensor [m, values] for each of `stages`, the
  /// last of which is the last of the network: by x [m, in] if `to_input`, and by theta [P] added to
  /// `by_theta` if that is defined.
  at::Tensor pull_back(const at::Tensor& theta, const at::Tensor& x, const std::vector<std::size_t>& stages,
                       const std::vector<at::Tensor>& by_output, bool to_input, at::Tensor by_theta) const;

  class Typed;

 private:
  std::unique_ptr<Typed> typed_;
};

}  // namespace whence
