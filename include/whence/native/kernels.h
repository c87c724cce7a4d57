#pragma once
// The loops that native engines are made of, compiled once for each kind of processor and chosen at run time.
//
// Arrays are [feature][batch]: a row holds one feature of all samples, so that samples fill the vector lanes.
// Every row of every array of a pass is `stride` elements long, and starts at a multiple of `lanes`; the
// columns after the last sample are padding that holds finite numbers. Products have no sums over columns.
// Outer products do; there one factor is 0 in the padding. Arrays have room for `row_block` more rows than
// they use: outer products read (and ignore) up to that many.

#include <cstddef>
#include <vector>

#include "whence/net/activation_kind.h"
#include "whence/net/likelihood.h"

namespace whence::native {

constexpr std::size_t row_block = 8;
/// Rows of A that a product with room for it copies at once.
template <typename T>
constexpr std::size_t packed_rows = 192 / sizeof(T);

/// A X: element (i, k) of A at a[i * row_step + k * depth_step] (a weight, or its transpose), X
/// [depth][columns].
template <typename T>
struct Term {
  const T* a = nullptr;
  std::ptrdiff_t row_step = 0, depth_step = 0;
  const T* x = nullptr;
  std::size_t depth = 0;
  /// Numbers to fetch meanwhile, those at ahead[i * ahead_row + k * ahead_step]; null: none.
  const T* ahead = nullptr;
  std::ptrdiff_t ahead_row = 0, ahead_step = 0;
};

/// What `product` makes of the sum s before it is stored.
enum class Finish {
  none,      ///< y = s
  activate,  ///< y = act(s)
  slope,     ///< y = act'(a) s + curvature tangent, where act' follows from value = act(a)
};

/// s = scale (A X + bias) + A' X', then `finish`. All arrays but A, A', bias are [rows or depth][columns].
template <typename T>
struct Product {
  std::size_t rows = 0, columns = 0;  ///< columns: a multiple of lanes
  std::ptrdiff_t stride = 0;
  Term<T> first, second;       ///< depth 0: absent
  const T* bias = nullptr;     ///< [rows], or null
  const T* scale = nullptr;    ///< [columns], or null for 1
  const T* adjoint = nullptr;  ///< with `along`: along[b] += sum_i adjoint[i][b] (A X + bias)[i][b]
  T* along = nullptr;          ///< [columns], or null
  T* sum = nullptr;            ///< s itself is also stored here, unless null
  Finish finish = Finish::none;
  Activation activation = Activation::linear;
  const T* value = nullptr;      ///< see Finish::slope
  const T* curvature = nullptr;  ///< null: 0
  const T* tangent = nullptr;
  T* y = nullptr;
  /// Room for packed_rows<T> numbers a depth of both terms, or null. With it a matrix larger than a core's
  /// cache is read once, and where it is read down its columns (row_step 1) copied.
  T* packed = nullptr;
};

/// C[i][k] = sum_b scale[b] L[i][b] R[k][b] + sum_b L'[i][b] R'[k][b], C [rows, others] without padding.
template <typename T>
struct Outer {
  std::size_t rows = 0, others = 0;
  std::size_t columns = 0, second_columns = 0;  ///< multiples of lanes
  std::ptrdiff_t stride = 0;
  const T *left = nullptr, *right = nullptr;
  const T* scale = nullptr;  ///< [columns], or null for 1
  const T *second_left = nullptr, *second_right = nullptr;
  T* c = nullptr;
  /// Room for (columns + second_columns) rows of `others` numbers and one vector, or null. With it R is
  /// turned first, so that its rows' numbers fill the lanes: no sum over lanes is needed.
  T* turned = nullptr;
};

/// Derivatives of a likelihood's terms r(l; x) by the logits l, times a factor a sample; arrays
/// [rows][columns].
template <typename T>
struct LikelihoodTerms {
  Likelihood likelihood = Likelihood::bernoulli;
  std::size_t rows = 0, columns = 0;  ///< columns: a multiple of lanes
  std::ptrdiff_t stride = 0;
  const T *logits = nullptr, *x = nullptr;
  const T* scale = nullptr;  ///< [columns]
  T* first = nullptr;        ///< scale dr/dl
  T* second = nullptr;       ///< scale d2r/dl2, unless null
};

/// The kernels for one kind of processor. Replica by replica results do not depend on anything else; between
/// variants they differ by rounding.
template <typename T>
struct Kernels {
  const char* name;   ///< portable, avx2 or avx512
  std::size_t lanes;  ///< of one vector
  void (*product)(const Product<T>&);
  void (*outer)(const Outer<T>&);
  /// y[i] = act'(a[i]) x[i] + curvature[i] tangent[i], from value = act(a); curvature may be null: 0. Count:
  /// a multiple of lanes.
  void (*slope)(Activation, std::size_t count, const T* value, const T* x, const T* curvature,
                const T* tangent, T* y);
  /// adjoint[i] *= act''(a[i]), from value = act(a) and, for relu and leaky_relu, the input a: N(a; 0,
  /// kink_width), which must be positive. Count: a multiple of lanes.
  void (*curvature)(Activation, std::size_t count, const T* value, const T* input, T kink_width, T* adjoint);
  void (*likelihood)(const LikelihoodTerms<T>&);
  /// y[i] += factor * x[i].
  void (*add)(std::size_t count, T factor, const T* x, T* y);
  /// Sums of powers of two that neither overflow nor underflow as a whole: sum[b] 2^largest[b] gains
  /// sum_i 2^x[i][b], x [rows][columns]; largest[b] becomes the largest exponent so far. To begin with, sum
  /// is 0 and largest any finite number below all x. A NaN in a column makes its sum NaN. Columns: a multiple
  /// of lanes.
  void (*add_powers)(std::size_t rows, std::size_t columns, std::ptrdiff_t stride, const T* x, T* largest,
                     T* sum);
  /// y[i] = f(x[i]) for any count and any x, infinities and NaN included; x and y may be the same.
  void (*exp)(std::size_t count, const T* x, T* y);
  void (*log1p)(std::size_t count, const T* x, T* y);
  void (*softplus)(std::size_t count, const T* x, T* y);  ///< log(1 + e^x)
  void (*sigmoid)(std::size_t count, const T* x, T* y);   ///< 1 / (1 + e^-x), exact also where it underflows
  void (*tanh)(std::size_t count, const T* x, T* y);
};

/// The variants that this processor can run, the fastest first; the last is always "portable".
template <typename T>
std::vector<const Kernels<T>*> available_kernels();

}  // namespace whence::native
