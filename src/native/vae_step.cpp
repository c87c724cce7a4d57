#include "whence/native/vae_step.h"

#include <algorithm>

#include "whence/core/error.h"

namespace whence::native {

template <typename T>
VaeStep<T>::VaeStep(const VaeNets<T>& nets, std::size_t instances, std::size_t noises,
                    const Kernels<T>& kernels, double kink_width)
    : nets_(nets),
      kernels_(kernels),
      instances_(instances),
      encoder_(nets.encoder, instances, kernels, kink_width),
      decoder_(nets.decoder, instances, kernels, kink_width),
      scale_(encoder_.arrays.rows(1)),
      noise_(encoder_.arrays.rows(nets.latent_width())),
      sigma_(encoder_.arrays.rows(nets.latent_width())),
      by_logit_(decoder_.arrays.rows(nets.decoder.back().out)),
      by_code_(encoder_.arrays.rows(nets.encoder.back().out)),
      by_latent_(decoder_.arrays.rows(nets.latent_width())),
      second_(kink_width < 0 ? nullptr : decoder_.arrays.rows(nets.decoder.back().out)) {
  if (noises != instances) fail("native engine: {} rows of noise for {} instances", noises, instances);
}

template <typename T>
void VaeStep<T>::load(const Samples<T>& samples) {
  over_divisor_ = 1 / samples.divisor;
  const std::size_t width = nets_.instance_width(), latent = nets_.latent_width();
  copy_samples(samples.instances, instances_, width, 0, encoder_.arrays.stride(), encoder_.h[0]);
  fill_padding(encoder_.arrays, width, encoder_.h[0]);
  copy_samples(samples.latents, instances_, latent, 0, encoder_.arrays.stride(), noise_);
  fill_padding(encoder_.arrays, latent, noise_);
}

// Values, and the derivatives of the likelihood's terms.
template <typename T>
void VaeStep<T>::forward_both(const T* theta) {
  const std::size_t latent = nets_.latent_width(), columns = encoder_.arrays.columns();
  forward(encoder_, theta);
  const T *mu = encoder_.h.back(), *log_variance = mu + row(latent);
  for (std::size_t i = 0; i < latent; ++i)
    for (std::size_t b = 0; b < columns; ++b) sigma_[row(i) + b] = log_variance[row(i) + b] / 2;
  for (std::size_t i = 0; i < latent; ++i) kernels_.exp(columns, sigma_ + row(i), sigma_ + row(i));
  for (std::size_t i = 0; i < latent; ++i)
    for (std::size_t b = 0; b < columns; ++b)
      decoder_.h[0][row(i) + b] = mu[row(i) + b] + sigma_[row(i) + b] * noise_[row(i) + b];
  forward(decoder_, theta);
  LikelihoodTerms<T> terms;
  terms.likelihood = nets_.likelihood;
  terms.rows = nets_.decoder.back().out;
  terms.columns = columns;
  terms.stride = decoder_.arrays.stride();
  terms.logits = decoder_.h.back();
  terms.x = encoder_.h[0];
  terms.scale = scale_;
  terms.first = by_logit_;
  terms.second = second_;
  kernels_.likelihood(terms);
}

template <typename T>
void VaeStep<T>::backward_both(const T* theta) {
  const std::size_t latent = nets_.latent_width(), columns = encoder_.arrays.columns();
  backward(decoder_, theta, by_logit_, by_latent_, columns);
  const T* mu = encoder_.h.back();
  T *by_mu = by_code_, *by_log_variance = by_code_ + row(latent);
  for (std::size_t i = 0; i < latent; ++i)
    for (std::size_t b = 0; b < columns; ++b) {
      const std::ptrdiff_t at = row(i) + static_cast<std::ptrdiff_t>(b);
      const T of_kl = nets_.beta * scale_[b], by_xi = by_latent_[at], sigma = sigma_[at];
      by_mu[at] = by_xi + of_kl * mu[at];
      by_log_variance[at] = (by_xi * sigma * noise_[at] + of_kl * (sigma * sigma - 1)) / 2;
    }
  backward<T>(encoder_, theta, by_code_, nullptr, 0);
}

template <typename T>
void VaeStep<T>::gradient(const T* theta, const T* weights, T* gradient) {
  for (std::size_t j = 0; j < instances_; ++j) scale_[j] = weights[j] * over_divisor_;
  forward_both(theta);
  backward_both(theta);
  parameter_gradient<T>(encoder_, nullptr, gradient);
  parameter_gradient<T>(decoder_, nullptr, gradient);
}

template <typename T>
void VaeStep<T>::prepare(const T* theta) {
  theta_ = theta;
  std::fill_n(scale_, instances_, over_divisor_);
  forward_both(theta);
  backward_both(theta);
}

template <typename T>
VaeTangent<T>::VaeTangent(const VaeStep<T>& step)
    : step_(step),
      encoder_(step.encoder_),
      decoder_(step.decoder_),
      along_(encoder_.arrays.rows(1)),
      by_logit_(decoder_.arrays.rows(step.nets_.decoder.back().out)),
      by_code_(encoder_.arrays.rows(step.nets_.encoder.back().out)),
      by_latent_(decoder_.arrays.rows(step.nets_.latent_width())) {}

// xi-dot = mu-dot + sigma eps v-dot / 2.
template <typename T>
void VaeTangent<T>::move_latents() {
  const std::size_t latent = step_.nets_.latent_width(), columns = encoder_.arrays.columns();
  const T *mu = encoder_.h.back(), *log_variance = mu + step_.row(latent);
  for (std::size_t i = 0; i < latent; ++i)
    for (std::size_t b = 0; b < columns; ++b) {
      const std::ptrdiff_t at = step_.row(i) + static_cast<std::ptrdiff_t>(b);
      decoder_.h[0][at] = mu[at] + step_.sigma_[at] * step_.noise_[at] * log_variance[at] / 2;
    }
}

// The tangent of what VaeStep::backward_both makes of xi's adjoint.
template <typename T>
void VaeTangent<T>::seed_encoder() {
  const std::size_t latent = step_.nets_.latent_width(), columns = encoder_.arrays.columns();
  const T *mu = encoder_.h.back(), *log_variance = mu + step_.row(latent);
  T *by_mu = by_code_, *by_log_variance = by_code_ + step_.row(latent);
  for (std::size_t i = 0; i < latent; ++i)
    for (std::size_t b = 0; b < columns; ++b) {
      const std::ptrdiff_t at = step_.row(i) + static_cast<std::ptrdiff_t>(b);
      const T of_kl = step_.nets_.beta * step_.scale_[b], sigma = step_.sigma_[at];
      const T half_spread = sigma * step_.noise_[at] / 2;
      by_mu[at] = by_latent_[at] + of_kl * mu[at];
      by_log_variance[at] =
          by_latent_[at] * half_spread +
          (step_.by_latent_[at] * half_spread + of_kl * sigma * sigma) * log_variance[at] / 2;
    }
}

template <typename T>
void VaeTangent<T>::trace(const T* u, T* u_jacobian, T* u_instance) {
  const VaeStep<T>& step = step_;
  const std::size_t columns = encoder_.arrays.columns();
  std::fill_n(along_, columns, T(0));
  tangent_forward<T>(step.encoder_, encoder_, step.theta_, u, true, nullptr, along_);
  move_latents();
  tangent_forward<T>(step.decoder_, decoder_, step.theta_, u, false, nullptr, along_);
  std::copy_n(along_, step.instances_, u_instance);

  const std::size_t logits =
      step.nets_.decoder.back().out * static_cast<std::size_t>(decoder_.arrays.stride());
  const T* moved = decoder_.h.back();
  for (std::size_t i = 0; i < logits; ++i) by_logit_[i] = step.second_[i] * moved[i];
  tangent_backward<T>(step.decoder_, decoder_, step.theta_, u, nullptr, by_logit_, by_latent_, columns);
  seed_encoder();
  tangent_backward<T>(step.encoder_, encoder_, step.theta_, u, nullptr, by_code_, nullptr, 0);
  tangent_parameter_gradient(step.decoder_, decoder_, columns, u_jacobian);
  tangent_parameter_gradient(step.encoder_, encoder_, 0, u_jacobian);
}

template class VaeStep<double>;
template class VaeStep<float>;
template class VaeTangent<double>;
template class VaeTangent<float>;

}  // namespace whence::native
