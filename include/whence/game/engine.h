#pragma once
// The engine that computes a game's step and its trace.

#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "whence/game/batch.h"
#include "whence/game/game.h"

namespace whence {

/// u^T J, and what removing each instance of the batch does along u.
struct TracedStep {
  /// [Q, P]: u^T J, J the Jacobian of g by theta (eq. 4).
  at::Tensor u_jacobian;
  /// [Q, b]: derivative of <u, g> by w_j = <u_p, grad f(x_j)> / divisor, p the player whose loss holds the
  /// instances (eq. 8).
  at::Tensor u_instance;
};

/// Computes a game's step. Implementations are exact up to rounding; replica r of a result depends on replica
/// r of the input alone, bit for bit, whatever runs beside it.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string name() const = 0;

  /// g(S, Z; theta, w) [R, P] for replicas params [R, P] and weights [R, b].
  virtual at::Tensor gradient(const at::Tensor& params, const Batch& batch,
                              const at::Tensor& weights) const = 0;

  /// For queries u [Q, P] at params [P], all instances present. `kink_width` is the standard deviation h of
  /// the Gaussian density that stands for ReLU's second derivative (a Dirac delta); 0: none, as published.
  virtual TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                           double kink_width) const = 0;
};

/// The engine of that name for a game: "torch", "native", or "auto" for native where it applies and torch
/// elsewhere; on devices other than the CPU native never applies. UsageError naming --engine for another
/// name, or where native does not apply.
std::shared_ptr<const Engine> make_engine(const std::string& name, const std::shared_ptr<const Game>& game,
                                          at::Device device = at::kCPU);

}  // namespace whence
