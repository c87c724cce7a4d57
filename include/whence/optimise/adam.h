#pragma once
// Adam (Kingma and Ba, ICLR 2015, algorithm 1) and AdamW (Loshchilov and Hutter, ICLR 2019, algorithm 2).

#include "whence/optimise/optimiser.h"

namespace whence {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;    ///< beside the root, as in the paper
  double epsilon_root = 0;  ///< inside the root, as some libraries have it
  double weight_decay = 0;  ///< lambda
  bool decoupled = false;   ///< AdamW: lambda shrinks theta itself
};

/// With h = g + lambda theta (AdamW: h = g), c1 = 1 - beta1^(t+1), c2 = 1 - beta2^(t+1):
///   m' = beta1 m + (1 - beta1) h,   v' = beta2 v + (1 - beta2) h^2,
///   r = sqrt(v' / c2 + epsilon_root),   D = r + epsilon,
///   theta' = theta - B (m' / c1) / D                (AdamW: from (1 - B lambda) theta)
/// The state is theta, m, v. Back, with a the derivatives by m', v' and h:
///   a_m = u_m - B u_theta / (c1 D)
///   a_v = u_v + B u_theta (m' / c1) / (2 c2 r D^2)
///   a_h = (1 - beta1) a_m + 2 (1 - beta2) h a_v
///   q = -a_h,   u_m = beta1 a_m,   u_v = beta2 a_v,   u_theta += lambda a_h   (AdamW: u_theta *= 1 - B
///   lambda)
/// h is read off the states: (m' - beta1 m) / (1 - beta1).
///
/// Where r = 0, h was 0 in every step so far and m' = 0 = h; there the second term of a_v is taken as 0,
/// which makes a_h the derivative of the step: as a function of h alone it is (1 - beta1) h / (c1 (s |h| +
/// epsilon)) with the slope (1 - beta1) / (c1 epsilon) at 0. In dtypes where h^2 underflows to 0 the same is
/// the derivative of the step as it is computed.
class Adam : public Optimiser {
 public:
  explicit Adam(AdamOptions options = {}) : options_(options) {}
  std::string name() const override { return options_.decoupled ? "adamw" : "adam"; }
  std::vector<std::string> parts() const override { return {"theta", "m", "v"}; }
  void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const override;
  at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const override;
  at::Tensor near_zero(const at::Tensor& after, const Moves& moves) const override;

 private:
  AdamOptions options_;
};

}  // namespace whence
