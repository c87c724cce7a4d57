#pragma once
// A convolutional network as a function of its tensors.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/net/activation_kind.h"
#include "whence/net/layout.h"

namespace whence {

/// `pool`: the largest of each 2 x 2 pixels, without parameters.
enum class ConvKind { convolution, transposed, pool };

/// One layer: (transposed) convolution with a bias, activation, and, if `norm`, layer normalisation over all
/// of a sample's values (epsilon 1e-12) with a gain and an offset for each channel.
struct ConvLayer {
  ConvKind kind;
  std::int64_t kernel, stride, padding, channels;
  Activation activation = Activation::sigmoid;  ///< sigmoid, tanh or linear
  bool norm = false;
};

struct ImageSize {
  std::int64_t channels, height, width;
  std::int64_t values() const { return channels * height * width; }
};

/// A layer within a network: its maps, and where its tensors begin in theta.
struct ConvStage {
  ConvLayer layer;
  ImageSize in, out;
  std::int64_t weight = 0, bias = 0, gain = 0, offset = 0;
  std::size_t first = 0;  ///< position of its first tensor in the layout
};

/// Layers one after another, for R replicas of the tensors at once. Images are rows of numbers: channel by
/// channel, row by row.
class ConvNet {
 public:
  /// Adds its tensors ("NAME.0.weight" [k, k, in, out], "NAME.0.bias" [out], "NAME.0.gain", "NAME.0.offset",
  /// ...) to the player's block of `layout`. Error when a layer does not fit its input.
  ConvNet(ParameterLayout& layout, std::int64_t player, const std::string& name, ImageSize input,
          const std::vector<ConvLayer>& layers);

  /// [R, m, out] from `tensors` (all of the layout's, [R, ...]) and x [m, in] or [R, m, in]: differentiable
  /// by LibTorch, twice if need be. See Game::one_replica_at_a_time.
  at::Tensor forward(const std::vector<at::Tensor>& tensors, const at::Tensor& x) const;
  /// The outputs [R, m, values] of the stages asked for, in that order.
  std::vector<at::Tensor> outputs(const std::vector<at::Tensor>& tensors, const at::Tensor& x,
                                  const std::vector<std::size_t>& stages) const;

  /// About how many numbers the graph of forward() holds for one sample.
  std::int64_t graph_numbers() const;

  /// Sets the gains in theta [P] to 1.
  void set_gains(at::Tensor& theta) const;

  const std::vector<ConvStage>& stages() const { return stages_; }
  const ImageSize& input() const { return stages_.front().in; }
  const ImageSize& output() const { return stages_.back().out; }

 private:
  std::vector<ConvStage> stages_;
};

}  // namespace whence
