#pragma once
// How a gradient moves theta.

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace whence {

/// The step of a run on its whole state: theta and what the optimiser remembers, one after another. A
/// replica's bits do not depend on the others.
class Optimiser {
 public:
  virtual ~Optimiser() = default;
  virtual std::string name() const = 0;
  /// Numbers in the state of P parameters, theta among them.
  virtual std::int64_t state_size(std::int64_t parameters) const = 0;
  /// The state [R, state_size] at the start of training from theta [R, P].
  virtual at::Tensor initial_state(const at::Tensor& params) const = 0;
  /// One step in place: state [R, state_size], gradient [R, P] at its theta, learning rates [P], step
  /// t = 0, 1, ...
  virtual void update(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates,
                      std::int64_t t) const = 0;
  /// Whether a trace-back knows the step's transpose.
  virtual bool traceable() const = 0;
  /// Whether a player whose rate is 0 at a step keeps its state, so that players can take turns.
  virtual bool allows_turns() const = 0;
};

/// "sgd" or "adam"; UsageError naming --optimiser otherwise.
std::shared_ptr<const Optimiser> make_optimiser(const std::string& name);

}  // namespace whence
