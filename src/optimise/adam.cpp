#include "whence/optimise/adam.h"

#include <cmath>

#include <ATen/ops/zeros.h>

#include "elementwise.h"

namespace whence {
namespace {

using elementwise::block_of;
using std::sqrt;

// c1 and c2 of the player's step.
double correction(double beta, const Move& move) {
  return 1 - std::pow(beta, static_cast<double>(move.taken + 1));
}

// What all queries are multiplied by, from m, m' and v': B / (c1 D), B (m' / c1) / (2 c2 r D^2) and
// 2 (1 - beta2) h.
auto factors_of(const AdamOptions& options, const Move& move) {
  return [&](auto number) {
    using Number = decltype(number);
    const auto rate = static_cast<Number>(move.rate), beta1 = static_cast<Number>(options.beta1),
               epsilon = static_cast<Number>(options.epsilon),
               epsilon_root = static_cast<Number>(options.epsilon_root),
               c1 = static_cast<Number>(correction(options.beta1, move)),
               over_c2 = static_cast<Number>(1 / correction(options.beta2, move)),
               half_over_c2 = static_cast<Number>(0.5 / correction(options.beta2, move)),
               twice_new = static_cast<Number>(2 * (1 - options.beta2) / (1 - options.beta1));
    return [=](auto own, const auto& from) {
      const auto& [m, new_m, new_v] = from;
      const auto r = sqrt(new_v * over_c2 + epsilon_root);
      const auto divisor = r + epsilon;
      const auto by_divisor = rate / (divisor * c1);
      own[0] = by_divisor;
      own[1] = elementwise::quotient_or_zero(by_divisor * new_m * half_over_c2, divisor * r);
      own[2] = (new_m - m * beta1) * twice_new;
      return own;
    };
  };
}

}  // namespace

void Adam::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply<3, 1>(
        {block_of(state, 0, moves, move), block_of(state, 1, moves, move), block_of(state, 2, moves, move)},
        {block_of(gradient, 0, moves, move)}, [&, decoupled = options_.decoupled](auto number) {
          using Number = decltype(number);
          const auto rate_over_c1 = static_cast<Number>(move.rate / correction(options_.beta1, move)),
                     beta1 = static_cast<Number>(options_.beta1), beta2 = static_cast<Number>(options_.beta2),
                     epsilon = static_cast<Number>(options_.epsilon),
                     epsilon_root = static_cast<Number>(options_.epsilon_root),
                     lambda = static_cast<Number>(decoupled ? 0 : options_.weight_decay),
                     kept = static_cast<Number>(1 - move.rate * options_.weight_decay),
                     over_c2 = static_cast<Number>(1 / correction(options_.beta2, move)),
                     first_share = static_cast<Number>(1 - options_.beta1),
                     second_share = static_cast<Number>(1 - options_.beta2);
          return [=](auto own, const auto& from) {
            auto& [theta, m, v] = own;
            const auto h = elementwise::with_decay(lambda, from[0], theta);
            m = m * beta1 + h * first_share;
            v = v * beta2 + h * h * second_share;
            const auto divisor = sqrt(v * over_c2 + epsilon_root) + epsilon;
            if (decoupled) theta = theta * kept;
            theta = theta - m * rate_over_c1 / divisor;
            return own;
          };
        });
  }
}

at::Tensor Adam::pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const {
  at::Tensor q = at::zeros({u.size(0), moves.back().end}, u.options());
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply_prepared<3, 4, 3>(
        {block_of(q, 0, moves, move), block_of(u, 0, moves, move), block_of(u, 1, moves, move),
         block_of(u, 2, moves, move)},
        {block_of(step.before, 1, moves, move), block_of(step.after, 1, moves, move),
         block_of(step.after, 2, moves, move)},
        factors_of(options_, move), [&](auto number) {
          using Number = decltype(number);
          const auto beta1 = static_cast<Number>(options_.beta1), beta2 = static_cast<Number>(options_.beta2),
                     first_share = static_cast<Number>(1 - options_.beta1),
                     lambda = static_cast<Number>(options_.decoupled ? 0 : options_.weight_decay),
                     kept =
                         static_cast<Number>(options_.decoupled ? 1 - move.rate * options_.weight_decay : 1);
          return [=](auto own, const auto& from) {
            auto& [by_g, u_theta, u_m, u_v] = own;
            const auto a_m = u_m - from[0] * u_theta;
            const auto a_v = u_v + from[1] * u_theta;
            by_g = -(a_m * first_share + from[2] * a_v);
            u_m = a_m * beta1;
            u_v = a_v * beta2;
            u_theta = u_theta * kept - by_g * lambda;
            return own;
          };
        });
  }
  return q;
}

at::Tensor Adam::near_zero(const at::Tensor& after, const Moves& moves) const {
  const double largest = options_.epsilon * (1 / epsilon_share - 1);  // of r
  return elementwise::below(after, 2, moves, [&](const Move& move) {
    return correction(options_.beta2, move) * (largest * largest - options_.epsilon_root);
  });
}

}  // namespace whence
