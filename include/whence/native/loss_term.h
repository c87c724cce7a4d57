#pragma once
// Terms of losses as functions of one logit.

#include <cstddef>

#include "whence/native/kernels.h"

namespace whence::native {

/// A loss term l(d) and its derivatives by the logit d, `count` at a time.
template <typename T>
struct LossTerm {
  using Function = void (*)(const Kernels<T>& kernels, std::size_t count, const T* d, T* out);
  Function value, first, second;
};

/// softplus(sign d), sign = 1 or -1: l' = sign sigmoid(sign d), l'' = sigmoid(d) sigmoid(-d).
template <typename T, int sign>
struct SoftplusTerm {
  static void value(const Kernels<T>& kernels, std::size_t count, const T* d, T* out) {
    for (std::size_t i = 0; i < count; ++i) out[i] = sign * d[i];
    kernels.softplus(count, out, out);
  }
  static void first(const Kernels<T>& kernels, std::size_t count, const T* d, T* out) {
    for (std::size_t i = 0; i < count; ++i) out[i] = sign * d[i];
    kernels.sigmoid(count, out, out);
    for (std::size_t i = 0; i < count; ++i) out[i] = sign * out[i];
  }
  // With s = sigmoid(-|d|), the smaller one, the other is 1 - s to full precision.
  static void second(const Kernels<T>& kernels, std::size_t count, const T* d, T* out) {
    for (std::size_t i = 0; i < count; ++i) out[i] = d[i] < 0 ? d[i] : -d[i];
    kernels.sigmoid(count, out, out);
    for (std::size_t i = 0; i < count; ++i) out[i] = out[i] * (1 - out[i]);
  }
};

template <typename T, int sign>
constexpr LossTerm<T> softplus_term{SoftplusTerm<T, sign>::value, SoftplusTerm<T, sign>::first,
                                    SoftplusTerm<T, sign>::second};

}  // namespace whence::native
