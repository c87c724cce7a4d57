#pragma once
// Gradient and trace of a game of two perceptrons, G and D with a scalar logit, on one replica:
//
//   L_G = sum_l f_G(d(G(z_l))) / divisor
//   L_D = (sum_j w_j f_R(d(x_j)) + sum_l f_F(d(G(z_l)))) / divisor
//
// and gamma/2 sum(kernel^2) in each owner's loss. D sees fake and real samples as one batch: fake ones first.

#include <vector>

#include "whence/native/loss_term.h"
#include "whence/native/perceptron.h"
#include "whence/native/samples.h"

namespace whence::native {

/// A game's networks and loss terms.
template <typename T>
struct AdversarialNets {
  Perceptron generator, discriminator;
  LossTerm<T> generator_fake, discriminator_real, discriminator_fake;  ///< f_G, f_R, f_F
  T l2;                                                                ///< gamma

  std::size_t instance_width() const { return discriminator.front().in; }
  std::size_t latent_width() const { return generator.front().in; }
};

template <typename T>
class TangentStep;

/// Values and adjoints of one replica. D's adjoints are those of its logit (seed 1): one backward pass serves
/// both players' losses, which differ by a factor a sample.
template <typename T>
class AdversarialStep {
 public:
  using Nets = AdversarialNets<T>;
  using Tangent = TangentStep<T>;

  /// For so many samples; `kink_width` < 0: for gradient() alone.
  AdversarialStep(const AdversarialNets<T>& nets, std::size_t real, std::size_t fake,
                  const Kernels<T>& kernels, double kink_width);

  /// Copies the mini-batch in.
  void load(const Samples<T>& samples);
  /// g(theta, w) into gradient [P]: theta [P], weights [real].
  void gradient(const T* theta, const T* weights, T* gradient);
  /// Everything that tangents need, at theta [P] with all instances present. theta must outlive them.
  void prepare(const T* theta);

  std::size_t real() const { return real_; }
  std::size_t fake() const { return fake_; }

 private:
  template <typename>
  friend class TangentStep;

  void forward_both(const T* theta);
  void backward_both(const T* theta);

  const AdversarialNets<T>& nets_;
  const Kernels<T>& kernels_;
  std::size_t real_, fake_;
  T over_divisor_ = 1;
  bool carries_penalty_ = true;
  const T* theta_ = nullptr;
  Pass<T> generator_, discriminator_;
  T* by_input_;        // dd/dx of D's logit at the fake samples [width]
  T* generator_seed_;  // dL_G/dx at the fake samples [width]
  // f' / divisor and f'' / divisor of each column: G's by the fake samples, D's by all.
  T *first_generator_, *second_generator_, *first_discriminator_, *second_discriminator_;
};

/// The tangent of a step's gradient along one query: one pass forward and one backward.
///
/// u^T J is the gradient of F = <u_G, grad L_G> + <u_D, grad L_D>, and both terms are tangents of the logit:
/// F = sum_l f_G'(d_l) d-dot^G_l + sum_l f_F'(d_l) d-dot^D_l + sum_j f_R'(d_j) d-dot^D_j, d-dot^G along u_G
/// (which moves the fake samples), d-dot^D along u_D. D's tangent pass carries both at once, weighted by f_G'
/// and f_D': tangents are linear. What is left of dF is the seed f_G'' d-dot^G + f_D'' d-dot^D at the logit.
template <typename T>
class TangentStep {
 public:
  explicit TangentStep(const AdversarialStep<T>& step);

  /// u^T J [P] and the derivative of <u, g> by each w_j [real], for u [P].
  void trace(const T* u, T* u_jacobian, T* u_instance);

 private:
  void seed_discriminator();

  const AdversarialStep<T>& step_;
  TangentPass<T> generator_, discriminator_;
  T *along_generator_, *along_discriminator_;  // d-dot^G, d-dot^D of each column
  T* seed_;                                    // of D's tangents, at the logit
  T *by_input_, *generator_seed_;              // [width]: dF/dx at the fake samples, in D's and in G's layout
};

}  // namespace whence::native
