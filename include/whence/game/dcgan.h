#pragma once
// The convolutional GAN of Terashita et al. (ICLR 2021, table 4), on images of one channel.

#include <memory>
#include <string>
#include <vector>

#include "whence/game/game.h"
#include "whence/net/network.h"

namespace whence {

class ConvFunction;

struct DcganOptions {
  std::int64_t latent_size;
  std::int64_t channels;  ///< of every hidden layer, h_G = h_D
  double l2;              ///< gamma: gamma/2 * sum(kernel^2) is added to the owner's loss
  at::ScalarType dtype;
};

/// The game of fcgan.h between convolutional networks for 28 x 28 pixels in [-1, 1]. Generator: 7 transposed
/// convolutions, kernels 2,3,3,2,3,3,4 and strides 1,1,2,1,1,2,1, then a 1x1 convolution and tanh;
/// discriminator: 7 convolutions, kernels 4,3,3,2,3,3,2 and strides 1,2,1,1,2,1,1, then linear to one logit.
/// No padding; after each of the 7 a sigmoid, then layer norm.
class Dcgan : public AdversarialGame {
 public:
  static constexpr std::int64_t side = 28;

  explicit Dcgan(DcganOptions options);

  std::string name() const override { return "dcgan"; }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return options_.latent_size; }
  at::ScalarType dtype() const override { return options_.dtype; }
  bool one_replica_at_a_time() const override { return true; }
  /// D sees an instance and a generated sample.
  std::int64_t graph_numbers(std::int64_t) const override {
    return generator_.graph_numbers() + 2 * discriminator_.graph_numbers();
  }
  at::Tensor initial_parameters(std::uint64_t seed) const override;
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double kink_width) const override;
  at::Tensor generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents,
                      double kink_width) const override;
  at::Tensor logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points,
                    double kink_width) const override;
  at::Tensor samples(const at::Tensor& params, const at::Tensor& latents) const override;
  at::Tensor samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                               const at::Tensor& by_sample) const override;

  std::unique_ptr<const Engine> native_engine(const std::string& variant) const override;

  const DcganOptions& options() const { return options_; }
  const Network& generator_network() const { return generator_; }
  const Network& discriminator_network() const { return discriminator_; }

 private:
  DcganOptions options_;
  ParameterLayout layout_;
  Network generator_, discriminator_;
  std::shared_ptr<const ConvFunction> native_generator_;
};

}  // namespace whence
