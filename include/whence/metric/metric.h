#pragma once
// Metrics V of a trained game: what influence is influence on.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/game/game.h"

namespace whence {

struct TrainedClassifier;

/// Is told how much of an evaluation this rank has done, from 0 to 1, after each chunk of points.
using ShareDone = std::function<void(double share)>;

/// V [1] and grad V [P] at one theta.
struct Evaluation {
  double value;
  at::Tensor gradient;
};

/// A number V(theta), with its gradient as the query u of a trace-back (eq. 10).
class Metric {
 public:
  virtual ~Metric() = default;
  virtual std::string name() const = 0;
  /// V of each replica of params [R, P]: [R] float64, by this rank alone; a replica's value does not depend
  /// on the others.
  virtual at::Tensor value(const at::Tensor& params) const = 0;
  /// grad V [P] at params [P], the same on every rank; validation points are split over `ranks`. Collective.
  virtual at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const = 0;
  /// Both at params [P], the same on every rank. Collective; metrics of generated images share the work that
  /// both need among `ranks`.
  Evaluation evaluate(
      const at::Tensor& params, const Communicator& ranks, const ShareDone& done = [](double) {}) const;

 protected:
  virtual Evaluation evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                        const ShareDone& done) const;
};

/// What metrics judge by: held-out instances [N', d] and validation latents [N', dz], none of them trained
/// on.
struct Validation {
  at::Tensor held_out;
  at::Tensor latents;
  std::shared_ptr<const TrainedClassifier> classifier = nullptr;  ///< for those that judge images
  at::Tensor labels = {};  ///< [N'] of held_out, where the data has them
};

/// Metrics by name: "all", "is", "log-is", "fid", "disc-loss", "gen-loss". UsageError naming --metric for any
/// other, for one that the game has not got, and naming --classifier where one is needed.
std::vector<std::shared_ptr<const Metric>> make_metrics(const std::vector<std::string>& names,
                                                        const std::shared_ptr<const Game>& game,
                                                        const Validation& validation);

/// Values and gradients of several metrics at one theta.
struct Evaluations {
  at::Tensor values;     ///< [metrics] float64
  at::Tensor gradients;  ///< [metrics, P]
};

/// Each metric's evaluate() at params [P]; `done` hears the share of all the work that is done. Collective.
Evaluations evaluate_all(const std::vector<std::shared_ptr<const Metric>>& metrics, const at::Tensor& params,
                         const Communicator& ranks, const ShareDone& done);

/// The metrics that there are for a game, or for GANs where it is null; the first is what jobs take unless
/// told otherwise.
std::vector<std::string> metrics_for(const Game* game);

/// Whether the metric of that name looks at images through a classifier.
bool looks_at_images(const std::string& metric);

/// Whether a larger value of the metric of that name is a better model; UsageError naming `option` for an
/// unknown name. `game`: whose metrics of its own and players are known besides; may be null.
bool larger_is_better(const std::string& option, const std::string& metric, const Game* game = nullptr);

}  // namespace whence
