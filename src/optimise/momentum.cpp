#include "whence/optimise/momentum.h"

#include <cmath>

#include <ATen/ops/zeros.h>

#include "elementwise.h"

namespace whence {

using elementwise::block_of;

void Momentum::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply<2, 1>({block_of(state, 0, moves, move), block_of(state, 1, moves, move)},
                             {block_of(gradient, 0, moves, move)}, [&, nesterov = nesterov_](auto number) {
                               using Number = decltype(number);
                               const auto rate = static_cast<Number>(move.rate),
                                          mu = static_cast<Number>(mu_),
                                          lambda = static_cast<Number>(weight_decay_);
                               return [=](auto own, const auto& from) {
                                 auto& [theta, velocity] = own;
                                 const auto h = elementwise::with_decay(lambda, from[0], theta);
                                 velocity = velocity * mu + h;
                                 if (nesterov)
                                   theta = theta - (h + velocity * mu) * rate;
                                 else
                                   theta = theta - velocity * rate;
                                 return own;
                               };
                             });
  }
}

at::Tensor Momentum::pull_back(at::Tensor& u, const TakenStep&, const Moves& moves) const {
  at::Tensor q = at::zeros({u.size(0), moves.back().end}, u.options());
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply<3, 0>(
        {block_of(q, 0, moves, move), block_of(u, 0, moves, move), block_of(u, 1, moves, move)}, {},
        [&, nesterov = nesterov_](auto number) {
          using Number = decltype(number);
          const auto rate = static_cast<Number>(move.rate), mu = static_cast<Number>(mu_),
                     lambda = static_cast<Number>(weight_decay_);
          return [=](auto own, const auto&) {
            auto& [by_g, u_theta, u_velocity] = own;
            const auto moved = u_theta * rate;
            if (nesterov) {
              u_velocity = u_velocity - moved * mu;
              by_g = moved - u_velocity;
            } else {
              u_velocity = u_velocity - moved;
              by_g = -u_velocity;
            }
            u_velocity = u_velocity * mu;
            if (lambda != 0) u_theta = u_theta - by_g * lambda;
            return own;
          };
        });
  }
  return q;
}

std::optional<double> Momentum::move_of(std::int64_t steps) const {
  if (steps <= 0) return 0.0;
  const double velocities = (1 - std::pow(mu_, static_cast<double>(steps))) / (1 - mu_);
  return nesterov_ ? 1 + mu_ * velocities : velocities;
}

}  // namespace whence
