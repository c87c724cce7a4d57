#pragma once
// The dense layers of a game's step, as one pass through its losses saw them.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/game/capabilities.h"
#include "whence/game/game.h"
#include "whence/train/recorded_steps.h"

namespace whence {

/// One layer of one network on R replicas of m samples.
struct SeenLayer {
  const Stage* stage;
  at::Tensor h, a, y;  ///< input [R, m, in], pre-activation and output [R, m, out], in the graph
  at::Tensor slope;    ///< [R, m, out] of the activation, a leaf; undefined where it has no kink
  at::Tensor stretch;  ///< DenseWatch::passed_on() just before this layer, or undefined
  /// Where h is not the last layer's output and no stretch was told: bounds [R, m] of the norm of its
  /// derivative by each earlier layer's output, which random directions say.
  std::vector<at::Tensor> reliance = {};

  double jump() const;  ///< of the slope at the kink, upwards
};

/// Keeps the layers of one player, and those of others; `reaching`: with SeenLayer::reliance.
class LayerRecord : public DenseWatch {
 public:
  LayerRecord(const ParameterLayout& layout, std::int64_t player, bool reaching)
      : layout_(layout), player_(player), reaching_(reaching) {}
  at::Tensor activated(const Stage& stage, const at::Tensor& h, const at::Tensor& a) override;
  void passed_on(const at::Tensor& stretch) override { stretch_ = stretch; }

  const std::vector<SeenLayer>& layers() const { return layers_; }
  const std::vector<SeenLayer>& others() const { return others_; }
  std::vector<at::Tensor> pre_activations(std::size_t count) const;

 private:
  const ParameterLayout& layout_;
  std::int64_t player_;
  bool reaching_;
  at::Tensor stretch_;
  std::vector<SeenLayer> layers_, others_;
};

/// A layer whose units have a kink, on one kind of samples.
struct KinkedLayer {
  const SeenLayer* seen;
  std::size_t layer;  ///< of its player's
  bool of_latents;    ///< seen by KinkPass::latents
  bool own;           ///< of the player that holds the instances
};

/// A pass of R replicas of theta through the losses, in float64, with what it saw of the player that holds
/// the instances.
struct KinkPass {
  std::vector<at::Tensor> tensors;  ///< the layout's [R, shape...], leaves
  std::vector<at::Tensor> losses;   ///< [R] of each player
  LayerRecord instances, latents;

  /// thetas [R, P], each with a mini-batch of its own; every instance has the weight 1.
  /// `reaching`: reach_of_units() is asked of it.
  KinkPass(const Game& game, const at::Tensor& thetas, const Batch& batches, bool reaching = false);

  /// Those of all players, in the order in which a step's units are numbered. They point into this pass.
  std::vector<KinkedLayer> kinked_layers() const;
};

/// The mini-batches of some steps in float64, as one: [steps, b, d] and [steps, l, dz].
Batch wide_batches(const RecordedSteps& run, const std::vector<std::int64_t>& steps);
/// Each of the steps [steps, ...] so many times one after the other; of one step nothing is copied.
at::Tensor repeated(const at::Tensor& steps, std::int64_t times);
Batch repeated(const Batch& batches, std::int64_t times);

/// Rows of some steps' mini-batches side by side: each step has as many as the one that has most.
class RowsOfSteps {
 public:
  explicit RowsOfSteps(std::size_t steps) : rows_(steps) {}
  /// The place among its step's rows.
  std::int64_t add(std::int64_t step, std::int64_t row);
  std::int64_t most() const;
  /// [steps, columns]; 0 where a step has fewer.
  at::Tensor index(std::int64_t columns) const;

 private:
  std::vector<std::vector<std::int64_t>> rows_;
};

/// Those rows of the instances, and those of the latents: [steps, n] each.
Batch rows_of(const Batch& batches, const at::Tensor& instances, const at::Tensor& latents);

/// Numbers that a pass of several steps may take for each thing that it keeps.
constexpr std::int64_t numbers_a_pass = std::int64_t{1} << 21;
/// Inputs and outputs of all layers, for one sample.
std::int64_t numbers_a_sample(const Game& game);
/// How many steps of so many samples one pass takes for so many queries: small steps cost little more than
/// their calls.
std::int64_t steps_a_pass(const Game& game, std::int64_t samples, std::int64_t queries);

}  // namespace whence
