#pragma once
// An exponential average of theta over training (Yazici et al., ICLR 2019, eq. 2).

#include "whence/optimise/optimiser.h"

namespace whence {

/// Another optimiser, and after each step of a player the average a' = d a + (1 - d) theta', which starts
/// from theta. The state is the other's, then a; a is the model. Back: u_theta += (1 - d) u_a before the
/// other pulls back, u_a = d u_a.
class Averaged : public Optimiser {
 public:
  Averaged(std::shared_ptr<const Optimiser> other, double decay) : other_(std::move(other)), decay_(decay) {}
  std::string name() const override { return other_->name(); }
  std::vector<std::string> parts() const override;
  std::int64_t model_part() const override { return static_cast<std::int64_t>(other_->parts().size()); }
  at::Tensor initial_state(const at::Tensor& params) const override;
  void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const override;
  at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const override;
  bool needs_gradient() const override { return other_->needs_gradient(); }
  at::Tensor near_zero(const at::Tensor& after, const Moves& moves) const override;
  std::optional<double> move_of(std::int64_t steps) const override { return other_->move_of(steps); }

 private:
  at::Tensor without_average(const at::Tensor& state) const;

  std::shared_ptr<const Optimiser> other_;
  double decay_;
};

}  // namespace whence
