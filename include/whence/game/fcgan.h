#pragma once
// The fully-connected GAN (Terashita et al., ICLR 2021, tables 2 and 3).

#include <string>
#include <vector>

#include "whence/game/game.h"
#include "whence/net/network.h"

namespace whence {

/// Everything that makes one FCGAN differ from another.
struct FcganOptions {
  std::int64_t data_width;
  std::int64_t latent_size;
  std::vector<std::int64_t> generator_hidden;
  std::vector<std::int64_t> discriminator_hidden;
  Activation hidden;            ///< of both networks
  Activation generator_output;  ///< linear, or tanh for data in [-1, 1]
  bool biases;
  double l2;  ///< gamma: gamma/2 * sum(kernel^2) is added to the owner's loss
  at::ScalarType dtype;
};

/// The game of adversarial_losses between perceptrons.
class Fcgan : public AdversarialGame, public Perceptrons {
 public:
  explicit Fcgan(FcganOptions options);

  std::string name() const override { return "fcgan"; }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return options_.latent_size; }
  at::ScalarType dtype() const override { return options_.dtype; }
  at::Tensor initial_parameters(std::uint64_t seed) const override;
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double kink_width) const override;
  at::Tensor generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents,
                      double kink_width) const override;
  at::Tensor logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points,
                    double kink_width) const override;

  std::unique_ptr<const Engine> native_engine(const std::string& variant) const override;

  const Perceptrons* perceptrons() const override { return this; }
  std::int64_t instance_player() const override;
  bool latents_of_instances() const override { return false; }
  std::vector<at::Tensor> losses_seen(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                      const at::Tensor& weights, DenseWatch& instances,
                                      DenseWatch& latents) const override;

  const FcganOptions& options() const { return options_; }
  const Network& generator_network() const { return generator_; }
  const Network& discriminator_network() const { return discriminator_; }

 private:
  FcganOptions options_;
  ParameterLayout layout_;
  Network generator_, discriminator_;
};

}  // namespace whence
