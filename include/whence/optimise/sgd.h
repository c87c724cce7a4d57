#pragma once
// Plain gradient descent.

#include "whence/optimise/optimiser.h"

namespace whence {

/// theta' = theta - B g (Terashita et al., eq. 3), B the learning rates. The state is theta.
class Sgd : public Optimiser {
 public:
  std::string name() const override { return "sgd"; }
  std::int64_t state_size(std::int64_t parameters) const override { return parameters; }
  at::Tensor initial_state(const at::Tensor& params) const override { return params.clone(); }
  void update(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates,
              std::int64_t t) const override;
  bool traceable() const override { return true; }
  bool allows_turns() const override { return true; }
};

}  // namespace whence
