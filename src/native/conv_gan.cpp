#include "whence/native/conv_gan.h"

#include <algorithm>

namespace whence::native {

template <typename T>
ConvGanStep<T>::ConvGanStep(const ConvGanSetting<T>& setting, bool for_traces)
    : setting_(setting),
      lanes_(setting.kernels->lanes),
      generator_(*setting.generator, *setting.kernels, for_traces),
      discriminator_(*setting.discriminator, *setting.kernels, for_traces),
      memory_(setting.kernels->lanes) {
  if (for_traces) {
    tangents_.emplace_back(generator_);
    tangents_.emplace_back(discriminator_);
    tangents_[0].take_output_adjoint_from(tangents_[1]);
  }
  for (T** array : {&at_.d, &at_.up, &at_.down, &at_.first, &at_.second, &at_.tangent, &at_.along})
    *array = memory_.vectors(1);
  scaled_tangent_ = memory_.map(discriminator_.input_map());
}

// sg(d) and sg(-d) of the logits in one vector.
template <typename T>
void ConvGanStep<T>::sigmoids(const T* logit) {
  std::copy_n(logit, lanes_, at_.d);
  setting_.functions->sigmoid(lanes_, at_.d, at_.up);
  for (std::size_t i = 0; i < lanes_; ++i) at_.tangent[i] = -at_.d[i];
  setting_.functions->sigmoid(lanes_, at_.tangent, at_.down);
}

template <typename T>
void ConvGanStep<T>::fake_pass(const T* theta, const ConvGanBatch<T>& batch, std::size_t begin) {
  const std::size_t count = std::min(lanes_, batch.fake - begin);
  load_samples(generator_.input_map(), lanes_, batch.latents, begin, count, generator_.input());
  generator_.forward(theta, generator_.input());
  discriminator_.forward(theta, generator_.output());
  sigmoids(discriminator_.output());
}

template <typename T>
void ConvGanStep<T>::fake_adjoint(const ConvGanBatch<T>& batch, std::size_t count) {
  for (std::size_t i = 0; i < lanes_; ++i) {
    at_.first[i] = i < count ? -at_.down[i] / batch.divisor : T(0);
    at_.second[i] = i < count ? at_.up[i] / batch.divisor : T(0);
  }
  unit_adjoint();
}

template <typename T>
void ConvGanStep<T>::unit_adjoint() {
  std::fill_n(discriminator_.output_adjoint(), lanes_, T(1));
}

// The images' adjoint of L_G: a_G (in `first`) times that of the logit.
template <typename T>
void ConvGanStep<T>::adjoint_to_generator() {
  setting_.kernels->scale(generator_.output_map(), at_.first, discriminator_.adjoint(0),
                          generator_.output_adjoint());
}

// Backward passes start from the logit itself; each sample's factor comes in where sums over samples are
// formed, so that a saturated discriminator loses no digits.
template <typename T>
void ConvGanStep<T>::gradient(const T* theta, const ConvGanBatch<T>& batch, const T* weights, T* g) {
  sums_.assign(setting_.parameters * lanes_, T(0));
  for (std::size_t begin = 0; begin < batch.fake; begin += lanes_) {
    const std::size_t count = std::min(lanes_, batch.fake - begin);
    fake_pass(theta, batch, begin);
    fake_adjoint(batch, count);
    discriminator_.backward(theta, {sums_.data(), at_.second, true});
    adjoint_to_generator();
    generator_.backward(theta, {sums_.data(), nullptr, false});
  }
  for (std::size_t begin = 0; begin < batch.real; begin += lanes_) {
    const std::size_t count = std::min(lanes_, batch.real - begin);
    load_samples(discriminator_.input_map(), lanes_, batch.instances, begin, count, discriminator_.input());
    discriminator_.forward(theta, discriminator_.input());
    sigmoids(discriminator_.output());
    for (std::size_t i = 0; i < lanes_; ++i)
      at_.first[i] = i < count ? -weights[begin + i] * at_.down[i] / batch.divisor : T(0);
    unit_adjoint();
    discriminator_.backward(theta, {sums_.data(), at_.first, false});
  }
  std::fill_n(g, setting_.parameters, T(0));
  setting_.kernels->add_lanes(setting_.parameters, sums_.data(), g);
}

// <u, g> = sum_l a_G d'_G + a_D d'_D, with d'_G and d'_D the logit's tangents along u_G and u_D. One tangent
// along (a_G u_G, a_D u_D), its factors held, has the value a_G d'_G + a_D d'_D; d'_G alone is the product of
// the images' tangent with their adjoint. The factors' own derivatives add
// e = a_G' d'_G + a_D' d'_D = c d'_G + sg(-d) (tangent - a_G d'_G) to the logit's adjoint.
template <typename T>
void ConvGanStep<T>::trace_fake(const T* theta, const T* u, T divisor, std::size_t count, T* sums) {
  ConvTangent<T>&generator = tangents_[0], &discriminator = tangents_[1];
  const Map map = generator_.output_map();
  generator.forward(theta, u, nullptr, nullptr);
  setting_.kernels->dot(map, discriminator_.adjoint(0), generator.output(), at_.along);
  setting_.kernels->scale(map, at_.first, generator.output(), scaled_tangent_);
  discriminator.forward(theta, u, scaled_tangent_, at_.second);
  const T* tangent = discriminator.output();
  for (std::size_t i = 0; i < lanes_; ++i) {
    const T c = at_.up[i] * at_.down[i] / divisor;
    discriminator.output_adjoint()[i] =
        i < count ? c * at_.along[i] + at_.down[i] * (tangent[i] - at_.first[i] * at_.along[i]) : T(0);
  }
  discriminator.backward(theta, sums, true);
  generator.backward(theta, sums, false);
}

// Along a_R u_D the logit's tangent is the instance's influence; e = a_R' d'_D = -sg(d) tangent.
template <typename T>
void ConvGanStep<T>::trace_real(const T* theta, const T* u, std::size_t count, T* sums, T* u_instance) {
  ConvTangent<T>& discriminator = tangents_[1];
  discriminator.forward(theta, u, nullptr, at_.first);
  const T* tangent = discriminator.output();
  for (std::size_t i = 0; i < lanes_; ++i) {
    if (i < count) u_instance[i] = tangent[i];
    discriminator.output_adjoint()[i] = i < count ? -at_.up[i] * tangent[i] : T(0);
  }
  discriminator.backward(theta, sums, false);
}

template <typename T>
void ConvGanStep<T>::trace(const T* theta, const ConvGanBatch<T>& batch, const T* u, std::size_t queries,
                           T* u_jacobian, T* u_instance) {
  const std::size_t parameters = setting_.parameters;
  sums_.assign(queries * parameters * lanes_, T(0));
  const auto sums_of = [&](std::size_t q) { return sums_.data() + q * parameters * lanes_; };
  for (std::size_t begin = 0; begin < batch.fake; begin += lanes_) {
    const std::size_t count = std::min(lanes_, batch.fake - begin);
    fake_pass(theta, batch, begin);
    fake_adjoint(batch, count);
    discriminator_.backward(theta, {nullptr, nullptr, true});
    adjoint_to_generator();
    generator_.backward(theta, {nullptr, nullptr, false});
    for (std::size_t q = 0; q < queries; ++q)
      trace_fake(theta, u + q * parameters, batch.divisor, count, sums_of(q));
  }
  for (std::size_t begin = 0; begin < batch.real; begin += lanes_) {
    const std::size_t count = std::min(lanes_, batch.real - begin);
    load_samples(discriminator_.input_map(), lanes_, batch.instances, begin, count, discriminator_.input());
    discriminator_.forward(theta, discriminator_.input());
    sigmoids(discriminator_.output());
    for (std::size_t i = 0; i < lanes_; ++i) at_.first[i] = i < count ? -at_.down[i] / batch.divisor : T(0);
    unit_adjoint();
    discriminator_.backward(theta, {nullptr, nullptr, false});
    for (std::size_t q = 0; q < queries; ++q)
      trace_real(theta, u + q * parameters, count, sums_of(q), u_instance + q * batch.real + begin);
  }
  std::fill_n(u_jacobian, queries * parameters, T(0));
  setting_.kernels->add_lanes(queries * parameters, sums_.data(), u_jacobian);
}

template class ConvGanStep<float>;
template class ConvGanStep<double>;

}  // namespace whence::native
