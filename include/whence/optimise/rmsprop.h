#pragma once
// RMSprop (Tieleman and Hinton, 2012, lecture 6.5), as torch.optim.RMSprop has it.

#include "whence/optimise/optimiser.h"

namespace whence {

struct RmspropOptions {
  double alpha = 0.99;
  double epsilon = 1e-8;    ///< beside the root
  double epsilon_root = 0;  ///< inside the root
  double momentum = 0;      ///< mu
  double weight_decay = 0;  ///< lambda
};

/// With h = g + lambda theta:
///   v' = alpha v + (1 - alpha) h^2,   r = sqrt(v' + epsilon_root),   D = r + epsilon,
///   theta' = theta - B h / D                        (mu > 0: b' = mu b + h / D, theta' = theta - B b')
/// The state is theta, v and with momentum b. Back, with a_s the derivative by h / D:
///   a_s = -B u_theta                                (mu > 0: a_s = u_b - B u_theta, u_b = mu a_s)
///   a_v = u_v - a_s h / (2 r D^2)                   the second term 0 where r = 0, see Adam
///   a_h = a_s / D + 2 (1 - alpha) h a_v
///   q = -a_h,   u_v = alpha a_v,   u_theta += lambda a_h
class Rmsprop : public Optimiser {
 public:
  explicit Rmsprop(RmspropOptions options = {}) : options_(options) {}
  std::string name() const override { return "rmsprop"; }
  std::vector<std::string> parts() const override;
  void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const override;
  at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const override;
  bool needs_gradient() const override { return true; }
  at::Tensor near_zero(const at::Tensor& after, const Moves& moves) const override;

 private:
  RmspropOptions options_;
};

}  // namespace whence
