#include "whence/optimise/sgd.h"

#include <ATen/ops/zeros.h>

#include "elementwise.h"

namespace whence {

using elementwise::block_of;

void Sgd::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply<1, 1>(
        {block_of(state, 0, moves, move)}, {block_of(gradient, 0, moves, move)}, [&](auto number) {
          using Number = decltype(number);
          const auto rate = static_cast<Number>(move.rate), lambda = static_cast<Number>(weight_decay_);
          return [=](auto own, const auto& from) {
            own[0] = own[0] - elementwise::with_decay(lambda, from[0], own[0]) * rate;
            return own;
          };
        });
  }
}

at::Tensor Sgd::pull_back(at::Tensor& u, const TakenStep&, const Moves& moves) const {
  at::Tensor q = at::zeros({u.size(0), moves.back().end}, u.options());
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    const at::Tensor own = block_of(q, 0, moves, move).view(), theta = block_of(u, 0, moves, move).view();
    own.add_(theta, move.rate);
    if (weight_decay_ != 0) theta.sub_(own * weight_decay_);
  }
  return q;
}

}  // namespace whence
