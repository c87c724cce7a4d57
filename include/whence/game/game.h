#pragma once
// The game whose step is Whence's one idea.
//
//   theta' = theta - B g(S, Z; theta, w),   g = (gradient of each player's loss by its own parameters)
//
// (Terashita et al., ICLR 2021, eq. 3, with a weight w_j for each instance: 1 = present, 0 = removed).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/game/batch.h"
#include "whence/game/capabilities.h"
#include "whence/net/layout.h"

namespace whence {

class Engine;

/// A differentiable n-player game, written once as losses; an engine derives the rest.
class Game {
 public:
  virtual ~Game() = default;

  virtual std::string name() const = 0;
  /// Which model it is, where that is not all in the options: "" or what identifies the file it came from.
  virtual std::string fingerprint() const { return ""; }
  virtual const ParameterLayout& layout() const = 0;
  virtual std::int64_t latent_size() const = 0;
  virtual at::ScalarType dtype() const = 0;
  /// theta [P] at the start of training.
  virtual at::Tensor initial_parameters(std::uint64_t seed) const = 0;

  /// Whether `losses` must see one replica at a time for a replica's bits to depend on it alone: sums over
  /// the pixels of images round differently with the number of replicas beside them.
  virtual bool one_replica_at_a_time() const { return false; }

  /// Operators whose slope jumps and whose second derivative `kink_width` does not mend, by name.
  virtual std::vector<std::string> kinks_left_out() const { return {}; }

  /// About how many numbers the graph of losses() holds for one instance of `width` numbers and its latent.
  virtual std::int64_t graph_numbers(std::int64_t width) const { return 1000 * width; }

  /// One loss [R] for each player. `tensors`: the layout's tensors, each [R, shape...]; `weights` [R, b]: w_j
  /// multiplies instance j's loss term. Replicas do not mix: replica r's loss depends on its own slices
  /// alone. `kink_width`: see relu().
  virtual std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                         const at::Tensor& weights, double kink_width) const = 0;

  /// What the game can do besides; null where it cannot.
  virtual const Generator* generator() const { return nullptr; }
  virtual const Autoencoder* autoencoder() const { return nullptr; }
  virtual const ImageClassifier* classifier() const { return nullptr; }
  virtual const OwnMetrics* own_metrics() const { return nullptr; }

  /// An engine of CPU kernels for this game, which has to outlive it; null where there is none. `variant`:
  /// see NativeEngine.
  virtual std::unique_ptr<const Engine> native_engine(const std::string& variant) const;

  /// Null where layers are of other kinds, too.
  virtual const Perceptrons* perceptrons() const { return nullptr; }
  /// Why it is null.
  virtual std::string perceptrons_left_out() const { return "its game is not one of perceptrons alone"; }
};

/// A game of a generator G (player 0) against a discriminator D (player 1).
class AdversarialGame : public Game, public Generator {
 public:
  const Generator* generator() const override { return this; }
  /// G(z): [R, m, d] from latents [m, dz].
  virtual at::Tensor generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents,
                              double kink_width) const = 0;
  /// D's logit d(x): [R, m] from points [m, d] or [R, m, d].
  virtual at::Tensor logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points,
                            double kink_width) const = 0;
  /// From generate(), by LibTorch; games with kernels of their own override them.
  at::Tensor samples(const at::Tensor& params, const at::Tensor& latents) const override;
  at::Tensor samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                               const at::Tensor& by_sample) const override;
};

/// The non-saturating game (Goodfellow et al., 2014), with D's logit d and softplus s:
///   L_G = sum_l s(-d(G(z_l))) / |Z|
///   L_D = (sum_j w_j s(-d(x_j)) + sum_l s(d(G(z_l)))) / |Z|
/// and gamma/2 * sum(kernel^2) of each owner's kernels, gamma = `l2`. A removed instance has w_j = 0; divisor
/// and latents do not change.
std::vector<at::Tensor> adversarial_losses(const AdversarialGame& game,
                                           const std::vector<at::Tensor>& tensors, const Batch& batch,
                                           const at::Tensor& weights, double kink_width, double l2);
/// The same from D's logits [R, b] of the instances and [R, l] of the generated points.
std::vector<at::Tensor> adversarial_losses(const ParameterLayout& layout, const at::Tensor& real,
                                           const at::Tensor& fake, const std::vector<at::Tensor>& tensors,
                                           const Batch& batch, const at::Tensor& weights, double l2);

}  // namespace whence
