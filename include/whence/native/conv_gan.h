#pragma once
// One step of a convolutional GAN and its trace, a vector of samples at a time.

#include <cstddef>
#include <vector>

#include "whence/native/conv_pass.h"
#include "whence/native/kernels.h"

namespace whence::native {

/// What the two passes of a step work on.
template <typename T>
struct ConvGanSetting {
  const Network *generator, *discriminator;
  const ConvKernels<T>* kernels;
  const Kernels<T>* functions;  ///< of the same processor
  std::size_t parameters;       ///< P
};

/// A mini-batch, or a slice of it: see Batch.
template <typename T>
struct ConvGanBatch {
  const T *instances, *latents;  ///< [real, d], [fake, dz]
  std::size_t real, fake;
  T divisor;
};

/// Losses and signs as in adversarial_losses, without the penalty. With d the logit, sg its sigmoid:
///   L_G' = a_G = -sg(-d) / |Z|, L_D' = a_D = sg(d) / |Z| (fake), a_R = -sg(-d) / |Z| (real),
///   all with the derivative c = sg(d) sg(-d) / |Z|.
template <typename T>
class ConvGanStep {
 public:
  ConvGanStep(const ConvGanSetting<T>& setting, bool for_traces);

  /// g [P] for one theta and weights [real].
  void gradient(const T* theta, const ConvGanBatch<T>& batch, const T* weights, T* g);

  /// u^T J [queries, P] and every instance's influence [queries, real] for u [queries, P].
  void trace(const T* theta, const ConvGanBatch<T>& batch, const T* u, std::size_t queries, T* u_jacobian,
             T* u_instance);

 private:
  // Lanes of one vector of samples: logit, its sigmoids, adjoints.
  struct Lanes {
    T *d, *up, *down, *first, *second, *tangent, *along;
  };
  void sigmoids(const T* logit);
  void fake_pass(const T* theta, const ConvGanBatch<T>& batch, std::size_t begin);
  void fake_adjoint(const ConvGanBatch<T>& batch, std::size_t count);
  void unit_adjoint();
  void adjoint_to_generator();
  void trace_fake(const T* theta, const T* u, T divisor, std::size_t count, T* sums);
  void trace_real(const T* theta, const T* u, std::size_t count, T* sums, T* u_instance);

  ConvGanSetting<T> setting_;
  std::size_t lanes_;
  ConvPass<T> generator_, discriminator_;
  std::vector<ConvTangent<T>> tangents_;  // of the generator and the discriminator, for traces
  MapMemory<T> memory_;
  Lanes at_;
  T* scaled_tangent_;  // of the images
  std::vector<T> sums_;
};

}  // namespace whence::native
