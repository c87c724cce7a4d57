#pragma once
// Adam (Kingma and Ba, ICLR 2015, algorithm 1).

#include "whence/optimise/optimiser.h"

namespace whence {

/// m' = beta_1 m + (1 - beta_1) g,  v' = beta_2 v + (1 - beta_2) g^2,
/// theta' = theta - B (m' / (1 - beta_1^(t+1))) / (sqrt(v' / (1 - beta_2^(t+1))) + epsilon),
/// with beta_1 = .9, beta_2 = .999, epsilon = 1e-8. The state is theta, m, v.
class Adam : public Optimiser {
 public:
  std::string name() const override { return "adam"; }
  std::int64_t state_size(std::int64_t parameters) const override { return 3 * parameters; }
  at::Tensor initial_state(const at::Tensor& params) const override;
  void update(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates,
              std::int64_t t) const override;
  bool traceable() const override { return false; }
  bool allows_turns() const override { return false; }
};

}  // namespace whence
