#include "perceptron_vae_engine.h"

#include "whence/native/vae_step.h"

#include "perceptron_engine.h"

namespace whence {
namespace {

template <typename T>
std::unique_ptr<const Engine> engine_of(const Vae& game, const std::string& variant) {
  native::VaeNets<T> nets{perceptron_of(game.encoder()), perceptron_of(game.decoder()), game.likelihood(),
                          static_cast<T>(game.beta())};
  return std::make_unique<PerceptronEngine<native::VaeStep<T>, T>>(game, std::move(nets), variant);
}

}  // namespace

std::unique_ptr<const Engine> make_perceptron_vae_engine(const Vae& game, const std::string& variant) {
  return game.dtype() == at::kFloat ? engine_of<float>(game, variant) : engine_of<double>(game, variant);
}

}  // namespace whence
