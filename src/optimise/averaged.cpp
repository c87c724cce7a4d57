#include "whence/optimise/averaged.h"

#include <ATen/ops/cat.h>

#include "elementwise.h"

namespace whence {

using elementwise::block_of;

std::vector<std::string> Averaged::parts() const {
  std::vector<std::string> parts = other_->parts();
  parts.emplace_back("average");
  return parts;
}

at::Tensor Averaged::initial_state(const at::Tensor& params) const {
  return at::cat({other_->initial_state(params), params}, 1);
}

// A view of the other optimiser's state.
at::Tensor Averaged::without_average(const at::Tensor& state) const {
  return state.narrow(-1, 0, state.size(-1) / (model_part() + 1) * model_part());
}

void Averaged::update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const {
  at::Tensor others = without_average(state);
  other_->update(others, gradient, moves);
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply<1, 1>(
        {block_of(state, model_part(), moves, move)}, {block_of(state, 0, moves, move)}, [&](auto number) {
          using Number = decltype(number);
          const auto kept = static_cast<Number>(decay_), share = static_cast<Number>(1 - decay_);
          return [=](auto own, const auto& from) {
            own[0] = own[0] * kept + from[0] * share;
            return own;
          };
        });
  }
}

at::Tensor Averaged::pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const {
  for (const Move& move : moves) {
    if (move.rate == 0) continue;
    elementwise::apply<2, 0>(
        {block_of(u, 0, moves, move), block_of(u, model_part(), moves, move)}, {}, [&](auto number) {
          using Number = decltype(number);
          const auto kept = static_cast<Number>(decay_), share = static_cast<Number>(1 - decay_);
          return [=](auto own, const auto&) {
            auto& [u_theta, u_average] = own;
            u_theta = u_theta + u_average * share;
            u_average = u_average * kept;
            return own;
          };
        });
  }
  at::Tensor others = without_average(u);
  return other_->pull_back(others, {without_average(step.before), without_average(step.after), step.gradient},
                           moves);
}

at::Tensor Averaged::near_zero(const at::Tensor& after, const Moves& moves) const {
  return other_->near_zero(without_average(after), moves);
}

}  // namespace whence
