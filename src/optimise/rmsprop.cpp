#include "whence/optimise/rmsprop.h"

#include <cmath>

#include <ATen/ops/zeros.h>

#include "elementwise.h"

namespace whence {
namespace {

using elementwise::Block;
using elementwise::block_of;
using std::sqrt;

// What all queries are multiplied by, from g, theta and v': 1 / D, h / (2 r D^2) and 2 (1 - alpha) h.
auto factors_of(const RmspropOptions& options) {
  return [&](auto number) {
    using Number = decltype(number);
    const auto epsilon = static_cast<Number>(options.epsilon),
               epsilon_root = static_cast<Number>(options.epsilon_root),
               lambda = static_cast<Number>(options.weight_decay),
               twice_new = static_cast<Number>(2 * (1 - options.alpha));
    return [=](auto own, const auto& from) {
      const auto h = elementwise::with_decay(lambda, from[0], from[1]);
      const auto r = sqrt(from[2] + epsilon_root);
      const auto divisor = r + epsilon;
      own[0] = Number(1) / divisor;
      own[1] = elementwise::quotient_or_zero(h * own[0] * Number(0.5), divisor * r);
      own[2] = h * twice_new;
      return own;
    };
  };
}

}  // namespace

std::vector<std::string> Rmsprop::parts() const {
  if (options_.momentum == 0) return {"theta", "v"};
  return {"theta", "v", "velocity"};
}

void Rmsprop::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  const bool moving = options_.momentum != 0;
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const auto make = [&](auto number) {
      using Number = decltype(number);
      const auto rate = static_cast<Number>(move.rate), alpha = static_cast<Number>(options_.alpha),
                 epsilon = static_cast<Number>(options_.epsilon),
                 epsilon_root = static_cast<Number>(options_.epsilon_root),
                 mu = static_cast<Number>(options_.momentum),
                 lambda = static_cast<Number>(options_.weight_decay),
                 share = static_cast<Number>(1 - options_.alpha);
      return [=](auto own, const auto& from) {
        const auto h = elementwise::with_decay(lambda, from[0], own[0]);
        own[1] = own[1] * alpha + h * h * share;
        auto step = h / (sqrt(own[1] + epsilon_root) + epsilon);
        if constexpr (std::tuple_size_v<decltype(own)> == 3) {
          own[2] = own[2] * mu + step;
          step = own[2];
        }
        own[0] = own[0] - step * rate;
        return own;
      };
    };
    const Block g = block_of(gradient, 0, moves, move), theta = block_of(state, 0, moves, move),
                v = block_of(state, 1, moves, move);
    if (moving)
      elementwise::apply<3, 1>({theta, v, block_of(state, 2, moves, move)}, {g}, make);
    else
      elementwise::apply<2, 1>({theta, v}, {g}, make);
  }
}

at::Tensor Rmsprop::pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const {
  at::Tensor q = at::zeros({u.size(0), moves.back().end}, u.options());
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const auto make = [&](auto number) {
      using Number = decltype(number);
      const auto rate = static_cast<Number>(move.rate), alpha = static_cast<Number>(options_.alpha),
                 mu = static_cast<Number>(options_.momentum),
                 lambda = static_cast<Number>(options_.weight_decay);
      return [=](auto own, const auto& from) {
        auto a_s = -(own[1] * rate);
        if constexpr (std::tuple_size_v<decltype(own)> == 4) {
          a_s = a_s + own[3];
          own[3] = a_s * mu;
        }
        const auto a_v = own[2] - a_s * from[1];
        own[0] = -(a_s * from[0] + from[2] * a_v);
        own[2] = a_v * alpha;
        if (lambda != 0) own[1] = own[1] - own[0] * lambda;
        return own;
      };
    };
    const std::array<Block, 3> once{block_of(step.gradient, 0, moves, move),
                                    block_of(step.before, 0, moves, move),
                                    block_of(step.after, 1, moves, move)};
    const Block by_g = block_of(q, 0, moves, move), u_theta = block_of(u, 0, moves, move),
                u_v = block_of(u, 1, moves, move);
    if (options_.momentum != 0)
      elementwise::apply_prepared<3, 4, 3>({by_g, u_theta, u_v, block_of(u, 2, moves, move)}, once,
                                           factors_of(options_), make);
    else
      elementwise::apply_prepared<3, 3, 3>({by_g, u_theta, u_v}, once, factors_of(options_), make);
  }
  return q;
}

at::Tensor Rmsprop::near_zero(const at::Tensor& after, const Moves& moves) const {
  const double largest = options_.epsilon * (1 / epsilon_share - 1);  // of r
  return elementwise::below(after, 1, moves,
                            [&](const Move&) { return largest * largest - options_.epsilon_root; });
}

}  // namespace whence
