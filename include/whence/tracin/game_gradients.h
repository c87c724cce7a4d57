#pragma once
// Gradients of instances' loss terms in any game, and their products with others, by the game's engine.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "whence/game/engine.h"
#include "whence/game/game.h"

namespace whence {

/// n instances, each with m samples of the latents that its loss term may take.
struct InstanceRows {
  at::Tensor points;       ///< [n, d]
  at::Tensor noise;        ///< [n, m, dz]
  at::Tensor labels = {};  ///< [n] int64, or undefined
};

/// f(x_j) is what w_j multiplies in the players' losses, mean over the m samples; grad f(x_j) [P] is its
/// gradient by theta, every player's loss by its own block. Penalties and terms of latents alone are no part
/// of it. A TracIn product is then <u, grad f(x_j)>, which Engine::trace gives for all j at once (eq. 8 of
/// Terashita et al.), without any instance's gradient.
class GameGradients {
 public:
  /// Both outlive this. `mask` [P] of 0 and 1 chooses the parameters that count; undefined: all.
  GameGradients(const Game& game, const Engine& engine, at::Tensor mask)
      : game_(game), engine_(engine), mask_(std::move(mask)) {}

  /// [n, P]: replicas of params [P] with one-hot weights, less one with none, where a loss has terms without
  /// an instance.
  at::Tensor gradients(const at::Tensor& params, const InstanceRows& rows) const;
  /// [Q, n]: <u_q, grad f(x_j)> for u [Q, P], whose masked numbers do not count.
  at::Tensor products(const at::Tensor& params, const at::Tensor& queries, const InstanceRows& rows) const;
  /// [n] float64: f(x_j).
  at::Tensor losses(const at::Tensor& params, const InstanceRows& rows) const;

  /// u [Q, P] without what does not count.
  at::Tensor masked(const at::Tensor& directions) const;
  /// Instances whose gradients are best taken at once.
  std::int64_t at_once() const;

 private:
  const Game& game_;
  const Engine& engine_;
  at::Tensor mask_;
};

}  // namespace whence
