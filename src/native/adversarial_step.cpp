#include "whence/native/adversarial_step.h"

#include <algorithm>

namespace whence::native {
namespace {

// to[row][b] = from[row][b] * scale[b] for the first `samples` columns; the padding of `to` stays 0.
template <typename T>
void copy_scaled(std::size_t rows, std::size_t samples, const T* from, std::ptrdiff_t from_stride,
                 const T* scale, T* to, std::ptrdiff_t to_stride) {
  for (std::size_t row = 0; row < rows; ++row, from += from_stride, to += to_stride)
    for (std::size_t b = 0; b < samples; ++b) to[b] = scale == nullptr ? from[b] : from[b] * scale[b];
}

template <typename T>
void multiply(std::size_t count, T factor, T* values) {
  for (std::size_t i = 0; i < count; ++i) values[i] *= factor;
}

}  // namespace

template <typename T>
AdversarialStep<T>::AdversarialStep(const AdversarialNets<T>& nets, std::size_t real, std::size_t fake,
                                    const Kernels<T>& kernels, double kink_width)
    : nets_(nets),
      kernels_(kernels),
      real_(real),
      fake_(fake),
      generator_(nets.generator, fake, kernels, kink_width),
      discriminator_(nets.discriminator, fake + real, kernels, kink_width),
      by_input_(discriminator_.arrays.rows(nets.discriminator.front().in)),
      generator_seed_(generator_.arrays.rows(nets.generator.back().out)),
      first_generator_(generator_.arrays.rows(1)),
      second_generator_(generator_.arrays.rows(1)),
      first_discriminator_(discriminator_.arrays.rows(1)),
      second_discriminator_(discriminator_.arrays.rows(1)) {}

template <typename T>
void AdversarialStep<T>::load(const Samples<T>& samples) {
  over_divisor_ = 1 / samples.divisor;
  carries_penalty_ = samples.carries_penalty;
  const std::size_t latent = nets_.generator.front().in;
  copy_samples(samples.latents, fake_, latent, 0, generator_.arrays.stride(), generator_.h[0]);
  fill_padding(generator_.arrays, latent, generator_.h[0]);
  copy_samples(samples.instances, real_, nets_.discriminator.front().in, fake_,
               discriminator_.arrays.stride(), discriminator_.h[0]);
}

// Values, and the first derivatives of the loss terms.
template <typename T>
void AdversarialStep<T>::forward_both(const T* theta) {
  const std::size_t width = nets_.discriminator.front().in;
  forward(generator_, theta);
  copy_scaled<T>(width, fake_, generator_.h.back(), generator_.arrays.stride(), nullptr, discriminator_.h[0],
                 discriminator_.arrays.stride());
  fill_padding(discriminator_.arrays, width, discriminator_.h[0]);
  forward(discriminator_, theta);

  const T* logits = discriminator_.h.back();
  nets_.generator_fake.first(kernels_, fake_, logits, first_generator_);
  nets_.discriminator_fake.first(kernels_, fake_, logits, first_discriminator_);
  nets_.discriminator_real.first(kernels_, real_, logits + fake_, first_discriminator_ + fake_);
  multiply(fake_, over_divisor_, first_generator_);
  multiply(fake_ + real_, over_divisor_, first_discriminator_);
}

template <typename T>
void AdversarialStep<T>::backward_both(const T* theta) {
  backward(discriminator_, theta, discriminator_.present, by_input_, generator_.arrays.columns());
  copy_scaled<T>(nets_.discriminator.front().in, fake_, by_input_, discriminator_.arrays.stride(),
                 first_generator_, generator_seed_, generator_.arrays.stride());
  backward<T>(generator_, theta, generator_seed_, nullptr, 0);
}

template <typename T>
void AdversarialStep<T>::gradient(const T* theta, const T* weights, T* gradient) {
  forward_both(theta);
  for (std::size_t j = 0; j < real_; ++j) first_discriminator_[fake_ + j] *= weights[j];
  backward_both(theta);
  parameter_gradient<T>(generator_, nullptr, gradient);
  parameter_gradient<T>(discriminator_, first_discriminator_, gradient);
  if (nets_.l2 == 0 || !carries_penalty_) return;
  add_penalty(generator_, nets_.l2, theta, gradient);
  add_penalty(discriminator_, nets_.l2, theta, gradient);
}

template <typename T>
void AdversarialStep<T>::prepare(const T* theta) {
  theta_ = theta;
  forward_both(theta);
  backward_both(theta);
  const T* logits = discriminator_.h.back();
  nets_.generator_fake.second(kernels_, fake_, logits, second_generator_);
  nets_.discriminator_fake.second(kernels_, fake_, logits, second_discriminator_);
  nets_.discriminator_real.second(kernels_, real_, logits + fake_, second_discriminator_ + fake_);
  multiply(fake_, over_divisor_, second_generator_);
  multiply(fake_ + real_, over_divisor_, second_discriminator_);
}

template <typename T>
TangentStep<T>::TangentStep(const AdversarialStep<T>& step)
    : step_(step),
      generator_(step.generator_),
      discriminator_(step.discriminator_),
      along_generator_(generator_.arrays.rows(1)),
      along_discriminator_(discriminator_.arrays.rows(1)),
      seed_(discriminator_.arrays.rows(1)),
      by_input_(discriminator_.arrays.rows(step.nets_.discriminator.front().in)),
      generator_seed_(generator_.arrays.rows(step.nets_.generator.back().out)) {}

// d-dot^G = dd/dx x-dot, and D's input tangent f_G' x-dot.
template <typename T>
void TangentStep<T>::seed_discriminator() {
  const std::size_t width = step_.nets_.discriminator.front().in, fake = step_.fake_;
  const std::ptrdiff_t stride = discriminator_.arrays.stride();
  const T *moved = generator_.h.back(), *by_input = step_.by_input_;
  std::fill_n(along_generator_, fake, T(0));
  for (std::size_t row = 0; row < width; ++row, moved += generator_.arrays.stride(), by_input += stride)
    for (std::size_t b = 0; b < fake; ++b) along_generator_[b] += by_input[b] * moved[b];
  copy_scaled<T>(width, fake, generator_.h.back(), generator_.arrays.stride(), step_.first_generator_,
                 discriminator_.h[0], stride);
}

template <typename T>
void TangentStep<T>::trace(const T* u, T* u_jacobian, T* u_instance) {
  const AdversarialStep<T>& step = step_;
  const std::size_t fake = step.fake_, real = step.real_, fake_columns = generator_.arrays.columns();
  tangent_forward<T>(step.generator_, generator_, step.theta_, u, true, nullptr, nullptr);
  seed_discriminator();
  std::fill_n(along_discriminator_, discriminator_.arrays.columns(), T(0));
  tangent_forward<T>(step.discriminator_, discriminator_, step.theta_, u, false, step.first_discriminator_,
                     along_discriminator_);

  for (std::size_t j = 0; j < real; ++j)
    u_instance[j] = step.first_discriminator_[fake + j] * along_discriminator_[fake + j];
  for (std::size_t b = 0; b < fake + real; ++b)
    seed_[b] = step.second_discriminator_[b] * along_discriminator_[b];
  for (std::size_t b = 0; b < fake; ++b) seed_[b] += step.second_generator_[b] * along_generator_[b];

  tangent_backward<T>(step.discriminator_, discriminator_, step.theta_, u, step.first_discriminator_, seed_,
                      by_input_, fake_columns);
  copy_scaled<T>(step.nets_.discriminator.front().in, fake, by_input_, discriminator_.arrays.stride(),
                 nullptr, generator_seed_, generator_.arrays.stride());
  tangent_backward<T>(step.generator_, generator_, step.theta_, u, nullptr, generator_seed_, nullptr, 0);
  tangent_parameter_gradient(step.discriminator_, discriminator_, fake_columns, u_jacobian);
  tangent_parameter_gradient(step.generator_, generator_, 0, u_jacobian);
  if (step.nets_.l2 == 0 || !step.carries_penalty_) return;
  add_penalty(step.generator_, step.nets_.l2, u, u_jacobian);
  add_penalty(step.discriminator_, step.nets_.l2, u, u_jacobian);
}

template class AdversarialStep<double>;
template class AdversarialStep<float>;
template class TangentStep<double>;
template class TangentStep<float>;

}  // namespace whence::native
