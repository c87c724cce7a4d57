#pragma once
// Gradients of at most some length (Pascanu et al., ICML 2013, algorithm 1).

#include "whence/optimise/optimiser.h"

namespace whence {

/// Another optimiser on g scaled down, as torch.nn.utils.clip_grad_norm_ does for each player's parameters:
///   n = |g| of the player,   s = c / (n + 1e-6),   h = min(1, s) g
/// Back, from q of the other optimiser: q where s >= 1, else
///   s q - g (s / (n + 1e-6)) (g . q) / n
class Clipped : public Optimiser {
 public:
  Clipped(std::shared_ptr<const Optimiser> other, double largest_norm)
      : other_(std::move(other)), largest_norm_(largest_norm) {}
  std::string name() const override { return other_->name(); }
  std::vector<std::string> parts() const override { return other_->parts(); }
  std::int64_t model_part() const override { return other_->model_part(); }
  at::Tensor initial_state(const at::Tensor& params) const override { return other_->initial_state(params); }
  void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const override;
  at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const override;
  bool needs_gradient() const override { return true; }
  at::Tensor near_zero(const at::Tensor& after, const Moves& moves) const override {
    return other_->near_zero(after, moves);
  }

 private:
  at::Tensor clipped(const at::Tensor& gradient, const Moves& moves) const;

  std::shared_ptr<const Optimiser> other_;
  double largest_norm_;
};

}  // namespace whence
