#pragma once
// What some games can do beyond their step. Jobs and metrics ask a game for a capability (Game::generator()
// and the like) and never for its type.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/game/batch.h"
#include "whence/net/dense_watch.h"
#include "whence/net/likelihood.h"
#include "whence/net/network.h"

namespace whence {

class Game;

/// Makes points from latents.
class Generator {
 public:
  virtual ~Generator() = default;
  /// G(z) [m, d] of one theta [P] from latents [m, dz], without a graph.
  virtual at::Tensor samples(const at::Tensor& params, const at::Tensor& latents) const = 0;
  /// sum_m by_sample_m . grad_theta G(z_m) [P]: eq. (10)'s chain rule through the generator.
  virtual at::Tensor samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                                       const at::Tensor& by_sample) const = 0;
};

/// Encodes an instance as a normal distribution of latents and decodes latents, by two networks in one
/// player's theta.
class Autoencoder {
 public:
  virtual ~Autoencoder() = default;
  /// Ends in 2 dz numbers, mean and log-variance of Q(. | x).
  virtual const Network& encoder() const = 0;
  /// From dz numbers to one logit for each number of x.
  virtual const Network& decoder() const = 0;
  virtual Likelihood likelihood() const = 0;
  /// Weight of KL(Q(. | x) || N(0, I)) in the loss.
  virtual double beta() const = 0;
};

/// Trains dense layers alone, so that it can be said which of their units cross a kink (trace/crossings.h).
class Perceptrons {
 public:
  virtual ~Perceptrons() = default;
  /// The player whose loss holds the instances.
  virtual std::int64_t instance_player() const = 0;
  /// Whether row j of the latents belongs to instance j.
  virtual bool latents_of_instances() const = 0;
  /// Whether losses_seen() takes as many latents as instances only, one at least.
  virtual bool as_many_latents() const { return latents_of_instances(); }
  /// Game::losses(), every dense layer of which is seen by one of two watches: `instances` where its rows are
  /// instances, `latents` where they are latents alone.
  virtual std::vector<at::Tensor> losses_seen(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                              const at::Tensor& weights, DenseWatch& instances,
                                              DenseWatch& latents) const = 0;
};

/// Sorts images into classes, by way of features.
class ImageClassifier {
 public:
  struct Outputs {
    at::Tensor features;  ///< [m, feature_count]
    at::Tensor logits;    ///< [m, classes]
  };
  virtual ~ImageClassifier() = default;
  /// Numbers an image.
  virtual std::int64_t pixels() const = 0;
  virtual std::int64_t classes() const = 0;
  virtual std::int64_t feature_count() const = 0;
  /// Of images [m, pixels], for one theta [P].
  virtual Outputs outputs(const at::Tensor& params, const at::Tensor& images) const = 0;
  /// Derivatives by images [m, pixels] of sum(by_feature * features) + sum(by_logit * logits).
  virtual at::Tensor pull_back(const at::Tensor& params, const at::Tensor& images,
                               const at::Tensor& by_feature, const at::Tensor& by_logit) const = 0;
  /// The same network computing in another dtype.
  virtual std::shared_ptr<const ImageClassifier> in_dtype(at::ScalarType dtype) const = 0;
};

/// Numbers of its own that a game can be judged by, by name.
class OwnMetrics {
 public:
  virtual ~OwnMetrics() = default;
  virtual std::vector<std::string> metric_names() const = 0;
  virtual bool metric_larger_is_better(const std::string& name) const = 0;
  /// The number [] of one theta [P] on points with latents, differentiable by theta.
  virtual at::Tensor metric(const std::string& name, const at::Tensor& params, const Batch& points) const = 0;
};

/// A capability that keeps its game alive, e.g. shared_capability(game, &Game::generator); null where the
/// game has not got it.
template <typename Capability>
std::shared_ptr<const Capability> shared_capability(const std::shared_ptr<const Game>& game,
                                                    const Capability* (Game::*ask)() const) {
  const Capability* found = (game.get()->*ask)();
  return found == nullptr ? nullptr : std::shared_ptr<const Capability>(game, found);
}

}  // namespace whence
