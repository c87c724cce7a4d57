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
  at::Tensor h, a;     ///< input [R, m, in] and pre-activation [R, m, out], in the graph
  at::Tensor slope;    ///< [R, m, out] of the activation, a leaf; undefined where it has no kink
  at::Tensor stretch;  ///< DenseWatch::passed_on() just before this layer, or undefined
};

/// Keeps the layers of one player.
class LayerRecord : public DenseWatch {
 public:
  LayerRecord(const ParameterLayout& layout, std::int64_t player) : layout_(layout), player_(player) {}
  at::Tensor activated(const Stage& stage, const at::Tensor& h, const at::Tensor& a) override;
  void passed_on(const at::Tensor& stretch) override { stretch_ = stretch; }

  const std::vector<SeenLayer>& layers() const { return layers_; }
  std::vector<at::Tensor> pre_activations(std::size_t count) const;

 private:
  const ParameterLayout& layout_;
  std::int64_t player_;
  at::Tensor stretch_;
  std::vector<SeenLayer> layers_;
};

/// A pass of R replicas of theta through the losses, in float64, with what it saw of the player that holds
/// the instances.
struct KinkPass {
  std::vector<at::Tensor> tensors;  ///< the layout's [R, shape...], leaves
  std::vector<at::Tensor> losses;   ///< [R] of each player
  LayerRecord instances, latents;

  /// theta [P]; every instance of the batch has the weight 1.
  KinkPass(const Game& game, const at::Tensor& theta, std::int64_t replicas, const Batch& batch);
};

/// Step t's mini-batch in float64.
Batch wide_batch(const RecordedSteps& run, std::int64_t t);
/// Those rows of its instances, and those of its latents.
Batch rows_of(const Batch& batch, const at::Tensor& instances, const at::Tensor& latents);

}  // namespace whence
