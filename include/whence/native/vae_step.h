#pragma once
// Gradient and trace of a beta-VAE of two perceptrons on one replica:
//
//   L = sum_j w_j ( sum_i r(l_ji; x_ji) + beta KL(N(mu_j, diag sigma_j^2) || N(0, I)) ) / divisor
//
// with (mu_j, v_j) the encoder's output for instance x_j, sigma = exp(v / 2), l_j the decoder's output for
// xi_j = mu_j + sigma_j eps_j, and r the terms of a likelihood. Row j of the latents is eps_j.

#include <vector>

#include "whence/native/perceptron.h"
#include "whence/native/samples.h"

namespace whence::native {

/// A VAE's networks and what its loss is made of. The encoder ends in 2 dz numbers: mu, then v.
template <typename T>
struct VaeNets {
  Perceptron encoder, decoder;
  Likelihood likelihood;  ///< whose terms r are
  T beta;

  std::size_t instance_width() const { return encoder.front().in; }
  std::size_t latent_width() const { return decoder.front().in; }
};

template <typename T>
class VaeTangent;

/// Values and adjoints of one replica. All adjoints have the factor w_j / divisor.
template <typename T>
class VaeStep {
 public:
  using Nets = VaeNets<T>;
  using Tangent = VaeTangent<T>;

  /// For so many instances; Error unless there are as many rows of noise. `kink_width` < 0: for
  /// gradient() alone.
  VaeStep(const VaeNets<T>& nets, std::size_t instances, std::size_t noises, const Kernels<T>& kernels,
          double kink_width);

  /// Copies the mini-batch in.
  void load(const Samples<T>& samples);
  /// g(theta, w) into gradient [P]: theta [P], weights [instances].
  void gradient(const T* theta, const T* weights, T* gradient);
  /// Everything that tangents need, at theta [P] with all instances present. theta must outlive them.
  void prepare(const T* theta);

  std::size_t real() const { return instances_; }
  std::size_t fake() const { return instances_; }

 private:
  template <typename>
  friend class VaeTangent;

  void forward_both(const T* theta);
  void backward_both(const T* theta);
  /// A row of an array of latent numbers.
  std::ptrdiff_t row(std::size_t i) const {
    return static_cast<std::ptrdiff_t>(i) * encoder_.arrays.stride();
  }

  const VaeNets<T>& nets_;
  const Kernels<T>& kernels_;
  std::size_t instances_;
  T over_divisor_ = 1;
  const T* theta_ = nullptr;
  Pass<T> encoder_, decoder_;
  T* scale_;                ///< one row: w_j / divisor
  T *noise_, *sigma_;       ///< [dz]: eps, sigma
  T *by_logit_, *by_code_;  ///< adjoints of the decoder's and the encoder's output
  T* by_latent_;            ///< adjoint of xi [dz]
  T* second_;               ///< d2r/dl2 w_j / divisor; null where no tangent is wanted
};

/// The tangent of a step's gradient along one query: one pass forward and one backward through both networks.
template <typename T>
class VaeTangent {
 public:
  explicit VaeTangent(const VaeStep<T>& step);

  /// u^T J [P] and the derivative of <u, g> by each w_j [instances], for u [P].
  void trace(const T* u, T* u_jacobian, T* u_instance);

 private:
  void move_latents();
  void seed_encoder();

  const VaeStep<T>& step_;
  TangentPass<T> encoder_, decoder_;
  T* along_;                // the derivative of <u, g> by w_j, in each column
  T *by_logit_, *by_code_;  // tangents of the adjoints
  T* by_latent_;
};

}  // namespace whence::native
