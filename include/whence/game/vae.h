#pragma once
// The beta-VAE as a game of one player (Kong and Chaudhuri, "Understanding Instance-based Interpretability of
// Variational Auto-Encoders", NeurIPS 2021, definition 3).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "whence/game/game.h"
#include "whence/net/network.h"

namespace whence {

/// Everything that makes one VAE differ from another. The encoder ends in 2 latent_size numbers, mean and
/// log-variance of Q(. | x); the decoder starts from latent_size and ends in one logit for each number of x.
struct VaeOptions {
  std::string name;
  ImageSize instance;  ///< numbers of one instance, as planes
  std::vector<Layer> encoder, decoder;
  std::int64_t latent_size;
  double beta;
  Likelihood likelihood;
  at::ScalarType dtype;
};

/// Layers of the published networks: perceptrons in - hidden - 2d and d - hidden reversed - in.
VaeOptions mlp_vae(std::int64_t in, const std::vector<std::int64_t>& hidden, std::int64_t latent_size,
                   Activation inside = Activation::relu);
/// For images of 3 x 64 x 64: convolutions 4x4 of stride 2 and padding 1, 3-32-32-64-64, then 4x4 of stride 1
/// to 256, then linear to 2d; the mirror image of it with transposed convolutions.
VaeOptions conv_vae(std::int64_t latent_size);

/// 1/2 sum_i (mu_i^2 + exp(v_i) - v_i - 1): KL(Q || N(0, I)) over the last axis, v the log-variance.
at::Tensor kl_to_normal(const at::Tensor& mu, const at::Tensor& log_variance);
/// -log P(x | xi) summed over the last axis, from logits of the same shape or one that x broadcasts to.
at::Tensor reconstruction_loss(Likelihood likelihood, const at::Tensor& logits, const at::Tensor& x);

/// L = 1/divisor sum_j w_j ( -log P(x_j | xi_j) + beta KL(Q(. | x_j) || N(0, I)) ),
/// xi_j = mu_j + exp(v_j / 2) eps_j: eq. (6) with one sample of the latent an instance. Row j of the batch's
/// latents is eps_j, so there are as many as instances.
class Vae : public Game, public Autoencoder, public Perceptrons {
 public:
  explicit Vae(VaeOptions options);

  std::string name() const override { return options_.name; }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return options_.latent_size; }
  at::ScalarType dtype() const override { return options_.dtype; }
  /// Kernels normal with variance 2 / fan_in (He et al., 2015), biases 0. Transposed convolutions as PyTorch
  /// begins them: kernels and biases uniform on +-1 / sqrt(fan_in).
  at::Tensor initial_parameters(std::uint64_t seed) const override;
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double kink_width) const override;

  std::int64_t graph_numbers(std::int64_t) const override {
    return encoder_.graph_numbers() + decoder_.graph_numbers();
  }

  const VaeOptions& options() const { return options_; }
  const Autoencoder* autoencoder() const override { return this; }
  const Network& encoder() const override { return encoder_; }
  const Network& decoder() const override { return decoder_; }
  Likelihood likelihood() const override { return options_.likelihood; }
  double beta() const override { return options_.beta; }

  /// Null where layers are of other kinds than linear ones.
  std::unique_ptr<const Engine> native_engine(const std::string& variant) const override;

  const Perceptrons* perceptrons() const override {
    return encoder_.is_dense() && decoder_.is_dense() ? this : nullptr;
  }
  std::int64_t instance_player() const override { return 0; }
  bool latents_of_instances() const override { return true; }
  std::vector<at::Tensor> losses_seen(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                      const at::Tensor& weights, DenseWatch& instances,
                                      DenseWatch& latents) const override;

 private:
  std::vector<at::Tensor> losses_of(const Batch& batch, const at::Tensor& weights, const at::Tensor& mu,
                                    const at::Tensor& log_variance, const at::Tensor& logits) const;

  VaeOptions options_;
  ParameterLayout layout_;
  Network encoder_, decoder_;
};

}  // namespace whence
