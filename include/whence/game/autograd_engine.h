#pragma once
// The LibTorch engine: works for any game, by automatic differentiation of its losses.

#include <memory>
#include <string>

#include "whence/game/engine.h"

namespace whence {

/// gradient: one backward pass a player, all replicas together. trace: <u, g> with g kept differentiable,
/// then one backward pass of it by (theta, w) for all queries (as replicas) and all instances together: u^T J
/// and every instance's influence at once (Terashita et al., appendix A: u^T J = grad <u, g>).
class AutogradEngine : public Engine {
 public:
  explicit AutogradEngine(std::shared_ptr<const Game> game) : game_(std::move(game)) {}
  std::string name() const override { return "torch"; }
  at::Tensor gradient(const at::Tensor& params, const Batch& batch, const at::Tensor& weights) const override;
  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double kink_width) const override;

 private:
  TracedStep trace_one_by_one(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                              double kink_width) const;

  std::shared_ptr<const Game> game_;
};

}  // namespace whence
