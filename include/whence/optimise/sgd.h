#pragma once
// Plain gradient descent.

#include "whence/optimise/optimiser.h"

namespace whence {

/// theta' = theta - B (g + lambda theta) (Terashita et al., eq. 3, with weight decay as torch.optim.SGD has
/// it). The state is theta.
///   q = B u,   u -= lambda q
class Sgd : public Optimiser {
 public:
  explicit Sgd(double weight_decay = 0) : weight_decay_(weight_decay) {}
  std::string name() const override { return "sgd"; }
  std::vector<std::string> parts() const override { return {"theta"}; }
  void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const override;
  at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const override;
  std::optional<double> move_of(std::int64_t steps) const override { return steps > 0 ? 1.0 : 0.0; }

 private:
  double weight_decay_;
};

}  // namespace whence
