#pragma once
// The game whose step is Whence's one idea, and the engine that computes the step and its trace.
//
//   theta' = theta - B g(S, Z; theta, w),   g = (gradient of each player's loss by its own parameters)
//
// (Terashita et al., ICLR 2021, eq. 3, with a weight w_j for each instance: 1 = present, 0 = removed).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/net/layout.h"

namespace whence {

/// What one step sees: a mini-batch, or one rank's slice of it. Sums over the slices of a mini-batch give the
/// whole: every loss is a sum over rows divided by `divisor`, and exactly one slice carries the penalty.
struct Batch {
  at::Tensor instances;  ///< [b, d] real instances S
  at::Tensor latents;    ///< [l, dz] latents Z, no part of any instance's removal
  std::int64_t divisor;  ///< |S| = |Z| of the whole mini-batch, before any removal
  bool carries_penalty = true;
  at::Tensor labels = {};  ///< [b] int64 class labels of the instances; undefined where the data has none
};

/// A differentiable n-player game, written once as losses; an engine derives the rest.
class Game {
 public:
  virtual ~Game() = default;

  virtual std::string name() const = 0;
  virtual const ParameterLayout& layout() const = 0;
  virtual std::int64_t latent_size() const = 0;
  virtual at::ScalarType dtype() const = 0;
  /// theta [P] at the start of training.
  virtual at::Tensor initial_parameters(std::uint64_t seed) const = 0;

  /// Whether `losses` must see one replica at a time for a replica's bits to depend on it alone: sums over
  /// the pixels of images round differently with the number of replicas beside them.
  virtual bool one_replica_at_a_time() const { return false; }

  /// About how many numbers the graph of losses() holds for one instance of `width` numbers and its latent.
  virtual std::int64_t graph_numbers(std::int64_t width) const { return 1000 * width; }

  /// One loss [R] for each player. `tensors`: the layout's tensors, each [R, shape...]; `weights` [R, b]: w_j
  /// multiplies instance j's loss term. Replicas do not mix: replica r's loss depends on its own slices
  /// alone. `kink_width`: see relu().
  virtual std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                         const at::Tensor& weights, double kink_width) const = 0;
};

/// A game of a generator G (player 0) against a discriminator D (player 1).
class AdversarialGame : public Game {
 public:
  /// G(z): [R, m, d] from latents [m, dz].
  virtual at::Tensor generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents,
                              double kink_width) const = 0;
  /// G(z) [m, d] of one theta [P], without a graph; games with kernels of their own override it.
  virtual at::Tensor samples(const at::Tensor& params, const at::Tensor& latents) const;
  /// sum_m by_sample_m . grad_theta G(z_m) [P]: eq. (10)'s chain rule through the generator.
  virtual at::Tensor samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                                       const at::Tensor& by_sample) const;
  /// D's logit d(x): [R, m] from points [m, d] or [R, m, d].
  virtual at::Tensor logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points,
                            double kink_width) const = 0;
};

/// The non-saturating game (Goodfellow et al., 2014), with D's logit d and softplus s:
///   L_G = sum_l s(-d(G(z_l))) / |Z|
///   L_D = (sum_j w_j s(-d(x_j)) + sum_l s(d(G(z_l)))) / |Z|
/// and gamma/2 * sum(kernel^2) of each owner's kernels, gamma = `l2`. A removed instance has w_j = 0; divisor
/// and latents do not change.
std::vector<at::Tensor> adversarial_losses(const AdversarialGame& game,
                                           const std::vector<at::Tensor>& tensors, const Batch& batch,
                                           const at::Tensor& weights, double kink_width, double l2);

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

}  // namespace whence
