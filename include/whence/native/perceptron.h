#pragma once
// The algebra of a multilayer perceptron on one replica: values, gradients, and their tangents.
//
//   a_l = W_l h_l + b_l,  h_{l+1} = act_l(a_l),   l = 0 .. L-1, h_0 the input, h_L the output
//
// A dot marks the tangent: the derivative along a direction (U_l, c_l) of the parameters (W_l, b_l).

#include <cstdint>
#include <vector>

#include "whence/native/arrays.h"

namespace whence::native {

/// Layer l: its place in the parameter vector, and its activation.
struct DenseLayer {
  std::size_t in, out;
  std::size_t weight;  ///< offset of W [out, in]
  std::size_t bias;    ///< offset of b [out], or no_bias
  Activation activation;
  static constexpr std::size_t no_bias = static_cast<std::size_t>(-1);
};
using Perceptron = std::vector<DenseLayer>;

/// What one pass through a perceptron keeps. Arrays are [width][columns].
template <typename T>
struct Pass {
  /// `kink_width` < 0: for gradients only, nothing is kept for tangents.
  Pass(const Perceptron& net, std::size_t samples, const Kernels<T>& kernels, double kink_width);

  const Perceptron& net;
  const Kernels<T>& kernels;
  Arrays<T> arrays;
  T kink_width;
  std::vector<T*> h;          ///< h_0 .. h_L
  std::vector<T*> a;          ///< a_l where its curvature needs it, else null
  std::vector<T*> adjoint;    ///< D_l = dF/da_l, F the scalar that `backward` differentiates
  std::vector<T*> curvature;  ///< act''(a_l) dF/dh_{l+1}, or null where act'' = 0
  T* present;                 ///< one row: 1 for each sample, 0 in the padding
  T *packed, *turned;         ///< see Product and Outer
};

/// Tangents of a pass.
template <typename T>
struct TangentPass {
  explicit TangentPass(const Pass<T>& pass);

  Arrays<T> arrays;
  std::vector<T*> h;        ///< h-dot_0 .. h-dot_L
  std::vector<T*> a;        ///< a-dot_l where the curvature is not 0, else null
  std::vector<T*> adjoint;  ///< D-dot_l
  T *packed, *turned;       ///< see Product and Outer
};

/// h_1 .. h_L from h_0.
template <typename T>
void forward(Pass<T>& pass, const T* theta);

/// D_{L-1} .. D_0 from seed = dF/dh_L [width][columns], which is 0 in the padding:
///   D_l = act'(a_l) dF/dh_{l+1},  dF/dh_l = W_l^T D_l
/// and dF/dh_0 into `input` for the first `input_columns` columns (a multiple of lanes), unless null.
template <typename T>
void backward(Pass<T>& pass, const T* theta, const T* seed, T* input, std::size_t input_columns);

/// dF/dW_l = sum_b scale[b] D_l h_l^T, dF/db_l = sum_b scale[b] D_l into `gradient`, laid out like theta.
/// `scale` [columns], 0 in the padding, or null for 1.
template <typename T>
void parameter_gradient(const Pass<T>& pass, const T* scale, T* gradient);

/// h-dot_1 .. h-dot_L along u (laid out like theta) and h-dot_0, which may be `still` (0):
///   a-dot_l = scale (U_l h_l + c_l) + W_l h-dot_l,  h-dot_{l+1} = act'(a_l) a-dot_l
/// `scale` [columns] multiplies each sample's parameter direction; null: 1. Unless `along` is null, the
/// derivative of F along u alone is added to it: along[b] = sum_l D_l (U_l h_l + c_l).
template <typename T>
void tangent_forward(const Pass<T>& pass, TangentPass<T>& tangent, const T* theta, const T* u, bool still,
                     const T* scale, T* along);

/// D-dot_{L-1} .. D-dot_0 from seed = the tangent of dF/dh_L [width][columns], 0 in the padding:
///   D-dot_l = act'(a_l) e_{l+1} + act''(a_l) dF/dh_{l+1} a-dot_l,  e_l = scale U_l^T D_l + W_l^T D-dot_l
/// with e_L = seed, and e_0 into `input` for the first `input_columns` columns, unless null.
template <typename T>
void tangent_backward(const Pass<T>& pass, TangentPass<T>& tangent, const T* theta, const T* u,
                      const T* scale, const T* seed, T* input, std::size_t input_columns);

/// The tangent of the parameters' gradient, D-dot_l h_l^T + D_l h-dot_l^T and D-dot_l, into `gradient`. Only
/// the first `moving_columns` columns of h-dot_0 are not 0.
template <typename T>
void tangent_parameter_gradient(const Pass<T>& pass, const TangentPass<T>& tangent,
                                std::size_t moving_columns, T* gradient);

/// gradient += gamma W for every kernel W: the derivative of gamma/2 sum(W^2), and with u for theta its
/// tangent.
template <typename T>
void add_penalty(const Pass<T>& pass, T gamma, const T* theta, T* gradient);

}  // namespace whence::native
