#pragma once
// Activations whose values do not depend on which replicas are computed together.

#include <functional>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "whence/net/activation_kind.h"

namespace whence {

/// "linear", "relu", "leaky-relu", "tanh", "sigmoid"; UsageError naming `option` otherwise.
Activation parse_activation(const std::string& option, const std::string& name);

/// The slopes of an activation that is linear on either side of 0 and has a kink there.
struct KinkSlopes {
  double below, above;
};
std::optional<KinkSlopes> kink_slopes(Activation activation, double leak);

/// The activation of x. `kink_width`: see relu(), and leaky_relu likewise; the others do not use it. `leak`:
/// leaky_relu's slope below 0.
at::Tensor activate(Activation activation, const at::Tensor& x, double kink_width, double leak = usual_leak);

/// max(x, 0) with derivative 1[x > 0]. The second derivative is a Dirac delta at 0, which automatic
/// differentiation takes as 0; over a mini-batch this missing curvature is most of a trace's error. With
/// kink_width h > 0 the second derivative is the normal density N(x; 0, h), h its standard deviation; values
/// and first derivatives stay exactly ReLU's.
at::Tensor relu(const at::Tensor& x, double kink_width);

/// s(x) = log(1 + e^x), to full precision of float64.
at::Tensor precise_softplus(const at::Tensor& x);

/// Applies the elementwise `function` to x [R, ...] so that replica r's result does not depend on the other
/// replicas or on R, bit for bit. LibTorch's vector loops finish the last few elements of a tensor with other
/// (scalar) code for exp and tanh, which rounds differently: each replica is padded to whole vectors.
at::Tensor by_replica(const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& function);

}  // namespace whence
