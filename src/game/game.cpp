#include "whence/game/game.h"

#include <torch/csrc/autograd/autograd.h>

#include "whence/game/engine.h"
#include "whence/net/activation.h"

namespace whence {

std::unique_ptr<const Engine> Game::native_engine(const std::string&) const { return nullptr; }

at::Tensor AdversarialGame::samples(const at::Tensor& params, const at::Tensor& latents) const {
  return generate(layout().views(params.unsqueeze(0)), latents, 0.0)[0];
}

at::Tensor AdversarialGame::samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                                              const at::Tensor& by_sample) const {
  const at::Tensor theta = params.detach().clone().requires_grad_();
  const at::Tensor generated = generate(layout().views(theta.unsqueeze(0)), latents, 0.0)[0];
  return torch::autograd::grad({generated}, {theta}, {by_sample})[0];
}

std::vector<at::Tensor> adversarial_losses(const AdversarialGame& game,
                                           const std::vector<at::Tensor>& tensors, const Batch& batch,
                                           const at::Tensor& weights, double kink_width, double l2) {
  const at::Tensor real = game.logits(tensors, batch.instances, kink_width);
  const at::Tensor fake = game.logits(tensors, game.generate(tensors, batch.latents, kink_width), kink_width);
  return adversarial_losses(game.layout(), real, fake, tensors, batch, weights, l2);
}

std::vector<at::Tensor> adversarial_losses(const ParameterLayout& layout, const at::Tensor& real,
                                           const at::Tensor& fake, const std::vector<at::Tensor>& tensors,
                                           const Batch& batch, const at::Tensor& weights, double l2) {
  const double scale = 1.0 / static_cast<double>(batch.divisor);

  at::Tensor generator_loss = precise_softplus(-fake).sum(1) * scale;
  at::Tensor discriminator_loss =
      ((weights * precise_softplus(-real)).sum(1) + precise_softplus(fake).sum(1)) * scale;
  if (l2 > 0 && batch.carries_penalty) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const ParameterSpec& spec = layout.specs()[i];
      if (!spec.is_kernel) continue;
      at::Tensor& loss = spec.player == 0 ? generator_loss : discriminator_loss;
      loss = loss + tensors[i].square().flatten(1).sum(1) * (0.5 * l2);
    }
  }
  return {generator_loss, discriminator_loss};
}

}  // namespace whence
