#pragma once
// One formula for every element of some tensors: a loop that passes over memory once on the CPU, LibTorch's
// operations on other devices. Each element's bits depend on its own operands alone.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

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

/// The player's block of a part of states [R, S] or of one state [S], whose rows are contiguous.
struct Block {
  const at::Tensor& state;
  std::int64_t begin, width;

  std::int64_t rows() const { return state.dim() == 1 ? 1 : state.size(0); }
  /// [R, width], or [1, width] of one state.
  at::Tensor view() const {
    const at::Tensor own = state.narrow(-1, begin, width);
    return state.dim() == 1 ? own.unsqueeze(0) : own;
  }
  /// Of one state: the same for every r. On the CPU.
  template <typename Float>
  Float* row(std::int64_t r) const {
    TORCH_CHECK(state.stride(-1) == 1 || state.size(-1) <= 1, "optimiser: rows must be contiguous");
    return state.data_ptr<Float>() + (rows() == 1 ? 0 : r * state.stride(0)) + begin;
  }
};

inline Block block_of(const at::Tensor& state, std::int64_t part, const Moves& moves, const Move& move) {
  return {state, part * moves.back().end + move.begin, move.end - move.begin};
}

/// [P], 1 where that part of the state [S] is below its player's limit(move), else 0, also where it is not
/// the player's turn.
template <typename Limit>
at::Tensor below(const at::Tensor& state, std::int64_t part, const Moves& moves, const Limit& limit) {
  at::Tensor found = at::zeros({moves.back().end}, state.options());
  for (const Move& move : moves)
    if (move.rate != 0)
      found.narrow(0, move.begin, move.end - move.begin)
          .copy_(block_of(state, part, moves, move).view()[0] < limit(move));
  return found;
}

// Roots and quotients are most of an optimiser's work, and twice as wide vectors halve their time. Every
// instruction rounds as the narrow one does, so that processors agree bit for bit.
#if defined(__x86_64__) && defined(__GNUC__)
#define WHENCE_WIDER_VECTORS __attribute__((target("avx2"), flatten))
inline bool has_wider_vectors() { return __builtin_cpu_supports("avx2"); }
#else
#define WHENCE_WIDER_VECTORS
inline bool has_wider_vectors() { return false; }
#endif

// The loop that follows: what an element reads, no other one writes.
#if defined(__clang__)
#define WHENCE_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define WHENCE_APART _Pragma("GCC ivdep")
#endif

/// to = formula(to, from) for `count` elements, whose places in memory are the same or apart.
template <typename Float, typename Formula, std::size_t N, std::size_t M, std::size_t... I, std::size_t... J>
[[gnu::always_inline]] inline void each(const std::array<Float*, N>& to,
                                        const std::array<const Float*, M>& from, std::int64_t count,
                                        const Formula& formula, std::index_sequence<I...>,
                                        std::index_sequence<J...>) {
  WHENCE_APART
  for (std::int64_t i = 0; i < count; ++i) {
    const std::array<Float, N> values =
        formula(std::array<Float, N>{to[I][i]...}, std::array<Float, M>{from[J][i]...});
    ((to[I][i] = values[I]), ...);
  }
}

template <typename Float, typename Formula, std::size_t N, std::size_t M>
WHENCE_WIDER_VECTORS void each_in_wider_vectors(std::array<Float*, N> to, std::array<const Float*, M> from,
                                                std::int64_t count, const Formula& formula) {
  each(to, from, count, formula, std::make_index_sequence<N>(), std::make_index_sequence<M>());
}

template <typename Float, typename Formula, std::size_t N, std::size_t M>
void each_on_cpu(std::array<Float*, N> to, std::array<const Float*, M> from, std::int64_t count,
                 const Formula& formula) {
  if (has_wider_vectors()) return each_in_wider_vectors(to, from, count, formula);
  each(to, from, count, formula, std::make_index_sequence<N>(), std::make_index_sequence<M>());
}

/// Where element `column` of row r of each block lies.
template <typename Float, std::size_t N>
std::array<Float*, N> places(const std::array<Block, N>& blocks, std::int64_t r, std::int64_t column) {
  std::array<Float*, N> all{};
  for (std::size_t k = 0; k < N; ++k) all[k] = blocks[k].template row<Float>(r) + column;
  return all;
}

template <typename Pointers>
auto as_given(const Pointers& pointers) {
  std::array<std::add_pointer_t<std::add_const_t<std::remove_pointer_t<typename Pointers::value_type>>>,
             std::tuple_size_v<Pointers>>
      given{};
  std::copy(pointers.begin(), pointers.end(), given.begin());
  return given;
}

template <std::size_t N>
std::array<at::Tensor, N> views(const std::array<Block, N>& blocks) {
  std::array<at::Tensor, N> tensors;
  for (std::size_t k = 0; k < N; ++k) tensors[k] = blocks[k].view();
  return tensors;
}

template <std::size_t N>
void put(const std::array<at::Tensor, N>& values, const std::array<Block, N>& blocks) {
  for (std::size_t k = 0; k < N; ++k) blocks[k].view().copy_(values[k]);
}

/// into = formula(into, from), element by element. `into` are [R, n], `from` [R, n] or [n] for all rows.
/// formula(array of N, array of M) returns an array of N, whether of float, of double or of at::Tensor;
/// make_formula(number) gives it, constants being of the type of `number`.
template <std::size_t N, std::size_t M, typename MakeFormula>
void apply(const std::array<Block, N>& into, const std::array<Block, M>& from,
           const MakeFormula& make_formula) {
  if (!into[0].state.device().is_cpu()) return put(make_formula(0.0)(views(into), views(from)), into);
  const auto on_cpu = [&](auto number) {
    using Float = decltype(number);
    const auto formula = make_formula(number);
    for (std::int64_t r = 0; r < into[0].rows(); ++r)
      each_on_cpu(places<Float>(into, r, 0), as_given(places<Float>(from, r, 0)), into[0].width, formula);
  };
  into[0].state.scalar_type() == at::kFloat ? on_cpu(0.0F) : on_cpu(0.0);
}

/// into = formula(into, factors) with K factors = prepare(..., once) that all rows share: `once` are [n].
/// Factors are worked out once, for as many elements at a time as stay in the nearest cache.
template <std::size_t K, std::size_t N, std::size_t M, typename MakePrepare, typename MakeFormula>
void apply_prepared(const std::array<Block, N>& into, const std::array<Block, M>& once,
                    const MakePrepare& make_prepare, const MakeFormula& make_formula) {
  if (!into[0].state.device().is_cpu()) {
    const std::array<at::Tensor, K> factors = make_prepare(0.0)(std::array<at::Tensor, K>{}, views(once));
    return put(make_formula(0.0)(views(into), factors), into);
  }
  const auto on_cpu = [&](auto number) {
    using Float = decltype(number);
    constexpr std::int64_t together = 256;
    const auto prepare = make_prepare(number);
    const auto formula = make_formula(number);
    std::array<std::array<Float, together>, K> memory{};
    std::array<Float*, K> factors{};
    for (std::size_t k = 0; k < K; ++k) factors[k] = memory[k].data();
    for (std::int64_t begin = 0; begin < into[0].width; begin += together) {
      const std::int64_t count = std::min(together, into[0].width - begin);
      each_on_cpu(factors, as_given(places<Float>(once, 0, begin)), count, prepare);
      for (std::int64_t r = 0; r < into[0].rows(); ++r)
        each_on_cpu(places<Float>(into, r, begin), as_given(factors), count, formula);
    }
  };
  into[0].state.scalar_type() == at::kFloat ? on_cpu(0.0F) : on_cpu(0.0);
}

}  // namespace whence::elementwise
