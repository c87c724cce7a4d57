#pragma once
// One formula for every element of some tensors: a loop that passes over memory once on the CPU, LibTorch's
// operations on other devices. Each element's bits depend on its own operands alone.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/optimise/optimiser.h"

namespace whence::elementwise {

/// value / divisor, 0 where the divisor is 0.
template <typename Float>
Float quotient_or_zero(Float value, Float divisor) {
  return divisor == Float(0) ? Float(0) : value / divisor;
}
inline at::Tensor quotient_or_zero(const at::Tensor& value, const at::Tensor& divisor) {
  return at::where(divisor == 0, at::zeros_like(value), value / divisor);
}

/// g + lambda theta; g itself, bit for bit, where lambda is 0.
template <typename Number, typename X>
X with_decay(Number lambda, const X& g, const X& theta) {
  if (lambda == 0) return g;
  return g + theta * lambda;
}

/// The player's block of a part of states [R, S].
inline at::Tensor block_of(const at::Tensor& state, std::int64_t part, const Moves& moves, const Move& move) {
  return state.narrow(1, part * moves.back().end + move.begin, move.end - move.begin);
}

/// [P], 1 where that part of the state [S] is below its player's limit(move), else 0, also where it is not
/// the player's turn.
template <typename Limit>
at::Tensor below(const at::Tensor& state, std::int64_t part, const Moves& moves, const Limit& limit) {
  at::Tensor found = at::zeros({moves.back().end}, state.options());
  for (const Move& move : moves)
    if (move.rate != 0)
      found.narrow(0, move.begin, move.end - move.begin)
          .copy_(block_of(state.unsqueeze(0), part, moves, move)[0] < limit(move));
  return found;
}

/// So many elements are worked on at a time: their operands stay in the nearest cache, apart from each other,
/// which lets compilers use vectors.
inline constexpr std::int64_t block = 64;

template <typename Float, std::size_t N, std::size_t M, typename Formula>
void on_cpu(const std::array<at::Tensor, N>& into, const std::array<at::Tensor, M>& from,
            const Formula& formula) {
  const std::int64_t rows = into[0].size(0), width = into[0].size(1);
  std::array<std::array<Float, block>, N> own;
  std::array<std::array<Float, block>, M> given{};
  for (std::int64_t r = 0; r < rows; ++r) {
    std::array<Float*, N> to;
    std::array<const Float*, M> at;
    for (std::size_t k = 0; k < N; ++k) to[k] = into[k].template data_ptr<Float>() + r * into[k].stride(0);
    for (std::size_t k = 0; k < M; ++k)
      at[k] = from[k].template data_ptr<Float>() + (from[k].size(0) == 1 ? 0 : r * from[k].stride(0));
    for (std::int64_t begin = 0; begin < width; begin += block) {
      const std::int64_t count = std::min(block, width - begin);
      for (std::size_t k = 0; k < N; ++k) std::copy_n(to[k] + begin, count, own[k].begin());
      for (std::size_t k = 0; k < M; ++k) std::copy_n(at[k] + begin, count, given[k].begin());
      for (std::int64_t i = 0; i < count; ++i) {
        std::array<Float, N> x;
        std::array<Float, M> y;
        for (std::size_t k = 0; k < N; ++k) x[k] = own[k][i];
        for (std::size_t k = 0; k < M; ++k) y[k] = given[k][i];
        x = formula(x, y);
        for (std::size_t k = 0; k < N; ++k) own[k][i] = x[k];
      }
      for (std::size_t k = 0; k < N; ++k) std::copy_n(own[k].begin(), count, to[k] + begin);
    }
  }
}

/// into = formula(into, from), element by element. `into` are [R, n], `from` [R, n] or [1, n] for all rows;
/// rows are contiguous. formula(array of N, array of M) returns an array of N, whether of float, of double or
/// of at::Tensor; make_formula(number) gives it, constants being of the type of `number`.
template <std::size_t N, std::size_t M, typename MakeFormula>
void apply(const std::array<at::Tensor, N>& into, const std::array<at::Tensor, M>& from,
           const MakeFormula& make_formula) {
  const bool rows_contiguous =
      std::all_of(into.begin(), into.end(), [](const at::Tensor& x) { return x.stride(1) == 1; }) &&
      std::all_of(from.begin(), from.end(), [](const at::Tensor& x) { return x.stride(1) == 1; });
  TORCH_CHECK(rows_contiguous || into[0].size(1) <= 1, "optimiser: rows must be contiguous");
  if (!into[0].device().is_cpu()) {
    const std::array<at::Tensor, N> values = make_formula(0.0)(into, from);
    for (std::size_t k = 0; k < N; ++k) into[k].copy_(values[k]);
  } else if (into[0].scalar_type() == at::kFloat) {
    on_cpu<float>(into, from, make_formula(0.0F));
  } else {
    on_cpu<double>(into, from, make_formula(0.0));
  }
}

}  // namespace whence::elementwise
