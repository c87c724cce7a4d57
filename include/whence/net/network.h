#pragma once
// A network as a function of its tensors, the parts of the flat parameter vector theta.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/net/dense_watch.h"
#include "whence/net/layer.h"
#include "whence/net/layout.h"

namespace whence {

/// Layers one after another, for R replicas of the tensors at once. Samples are rows of numbers; images lie
/// channel by channel, row by row.
class Network {
 public:
  /// Adds its tensors ("NAME.0.weight", "NAME.0.bias" [out], "NAME.0.gain", "NAME.0.offset", ...) to the
  /// player's block of `layout`: linear [out, in], convolutions by their WeightOrder. fan_in and fan_out
  /// count as the frameworks of that order do: with channels first fan_in of a transposed convolution is
  /// out k^2. Error when a layer does not fit its input.
  Network(ParameterLayout& layout, std::int64_t player, const std::string& name, ImageSize input,
          const std::vector<Layer>& layers);

  /// [R, m, out] from `tensors` (all of the layout's, [R, ...]) and x [m, in] or [R, m, in]: differentiable
  /// by LibTorch, twice if need be. See Game::one_replica_at_a_time for networks of convolutions with
  /// channels last; otherwise replica r depends on its own slices alone, bit for bit.
  at::Tensor forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                     double kink_width = 0) const;
  /// The same, of a network that is_dense(), with activations by `watch`.
  at::Tensor forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x, DenseWatch& watch) const;
  /// Whether all layers are linear ones.
  bool is_dense() const;
  /// The outputs [R, m, values] of the stages asked for, in that order.
  std::vector<at::Tensor> outputs(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                                  const std::vector<std::size_t>& stages, double kink_width = 0) const;

  /// About how many numbers the graph of forward() holds for one sample.
  std::int64_t graph_numbers() const;

  /// Sets the gains in theta [P] to 1.
  void set_gains(at::Tensor& theta) const;

  const std::vector<Stage>& stages() const { return stages_; }
  const ImageSize& input() const { return stages_.front().in; }
  const ImageSize& output() const { return stages_.back().out; }

 private:
  std::vector<Stage> stages_;
};

/// Linear layers of the given widths {in, hidden..., out}: one activation for the hidden ones, one for the
/// output.
Network perceptron(ParameterLayout& layout, std::int64_t player, const std::string& name,
                   const std::vector<std::int64_t>& widths, Activation hidden, Activation output,
                   bool biases = true);

}  // namespace whence
