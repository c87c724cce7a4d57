#pragma once
// A multilayer perceptron as a function of its tensors.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/net/activation.h"
#include "whence/net/layout.h"

namespace whence {

/// What a perceptron is made of: widths {in, hidden..., out}.
struct MlpShape {
  std::vector<std::int64_t> widths;
  Activation hidden;
  Activation output;
  bool biases;
};

/// y = a(... a(x W_0^T + b_0) ...), for R replicas of the tensors at once.
class Mlp {
 public:
  /// Adds its tensors ("NAME.0.weight" [out, in], "NAME.0.bias" [out], ...) to the player's block of
  /// `layout`.
  Mlp(ParameterLayout& layout, std::int64_t player, const std::string& name, MlpShape shape);

  /// [R, m, out] from `tensors` (all of the layout's, [R, ...]) and x [m, in] or [R, m, in].
  at::Tensor forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x, double kink_width) const;

  const MlpShape& shape() const { return shape_; }

 private:
  MlpShape shape_;
  std::size_t first_;  // position of its first tensor in the layout
};

}  // namespace whence
