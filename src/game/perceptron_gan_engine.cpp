#include "perceptron_gan_engine.h"

#include "whence/native/adversarial_step.h"

#include "perceptron_engine.h"

namespace whence {
namespace {

template <typename T>
std::unique_ptr<const Engine> engine_of(const Fcgan& game, const std::string& variant) {
  native::AdversarialNets<T> nets{perceptron_of(game.generator_network()),
                                  perceptron_of(game.discriminator_network()),
                                  native::softplus_term<T, -1>,
                                  native::softplus_term<T, -1>,
                                  native::softplus_term<T, 1>,
                                  static_cast<T>(game.options().l2)};
  return std::make_unique<PerceptronEngine<native::AdversarialStep<T>, T>>(game, std::move(nets), variant);
}

}  // namespace

std::unique_ptr<const Engine> make_perceptron_gan_engine(const Fcgan& game, const std::string& variant) {
  return game.dtype() == at::kFloat ? engine_of<float>(game, variant) : engine_of<double>(game, variant);
}

}  // namespace whence
