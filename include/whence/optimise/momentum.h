#pragma once
// Gradient descent with momentum (Polyak, 1964), and Nesterov's (Sutskever et al., ICML 2013).

#include "whence/optimise/optimiser.h"

namespace whence {

/// As torch.optim.SGD without dampening, from a velocity of 0: with h = g + lambda theta
///   b' = mu b + h,   theta' = theta - B b'          (Nesterov: theta' = theta - B (h + mu b'))
/// The state is theta, b. Back, with a_b and a_h the derivatives by b' and h:
///   a_b = u_b - B u_theta,   a_h = a_b              (Nesterov: a_b = u_b - mu B u_theta, a_h = a_b - B
///   u_theta) q = -a_h,   u_theta += lambda a_h,   u_b = mu a_b
class Momentum : public Optimiser {
 public:
  Momentum(double mu, bool nesterov, double weight_decay)
      : mu_(mu), nesterov_(nesterov), weight_decay_(weight_decay) {}
  std::string name() const override { return "momentum"; }
  std::vector<std::string> parts() const override { return {"theta", "velocity"}; }
  void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const override;
  at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const override;
  /// 1 + mu + ... + mu^(steps - 1); Nesterov: one more mu times it beside the 1.
  std::optional<double> move_of(std::int64_t steps) const override;

 private:
  double mu_;
  bool nesterov_;
  double weight_decay_;
};

}  // namespace whence
