#pragma once
// Gradients of a VAE's loss, one an instance, as sums of outer products that are never added up.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/game/vae.h"
#include "whence/tracin/layer_gradients.h"

namespace whence {

/// Which loss is differentiated. `training`: the game's own. `scoring`: the published one, (|sigmoid(l) -
/// x|^2 / channels + beta KL) / 12,288, whatever the game was trained with (scoring_channels()).
enum class TracinLoss { training, scoring };

/// How the encoder's gradient passes the sampled latent. `reparameterised`: through xi = mu + sigma eps
/// (Kingma and Welling, 2013). `score_function`: eq. (9) of Kong and Chaudhuri, grad log Q(xi | x) times -log
/// P(x | xi), with the KL term in closed form. The two agree in expectation.
enum class LatentGradient { reparameterised, score_function };

struct GradientOptions {
  TracinLoss loss = TracinLoss::training;
  LatentGradient latent = LatentGradient::reparameterised;
  std::int64_t samples = 16;     ///< m, samples of the latent a gradient
  std::int64_t last_layers = 0;  ///< only so many last layers of encoder and decoder each; 0: all
  /// Which of the layout's tensors count, a layer's weight and bias alike; empty: all.
  std::vector<bool> tensors = {};
};

/// The divisor of the scoring loss: 3 x 64 x 64.
inline constexpr double scoring_divisor = 12288;

/// What the scoring loss divides the squared error by: the channels of images, 1 for numbers without rows and
/// columns. The authors' code divides it by the first axis of an image, 3 for colour images, and not the KL
/// term (found by running it beside Whence's).
double scoring_channels(const Autoencoder& vae);

/// The layers whose gradients are taken: encoder's then decoder's, each in the network's order.
std::vector<LayerExtent> gradient_extents(const Autoencoder& vae, const GradientOptions& options);

/// Numbers kept at once while gradients are taken on `device`: for each instance, and for each of the `group`
/// (0: there are none) that the decoder has at once.
struct WorkingNumbers {
  std::int64_t each, group, in_group;
  std::int64_t of(std::int64_t n) const { return n * each + (n < group ? n : group) * in_group; }
};
WorkingNumbers working_numbers(const Autoencoder& vae, const GradientOptions& options, at::Device device);

/// Takes layer `l`'s part of n gradients.
using TakeLayer = std::function<void(std::size_t l, const LayerGradients&)>;

/// Hands each layer's part of n > 0 gradients of the loss, mean over the m samples, to `take`, in any order;
/// returns the losses [n] float64. The encoder's forward and backward pass is one for all instances and
/// samples; the decoder's has n m rows, or, where it has convolutions, those of as many instances as stay in
/// the cache, with a call of `between_groups` after each, for what must not wait until all are done.
///
/// `tensors`: the layout's, without a replica axis; x [n, d]; noise [n, m, dz], eps of each sample.
at::Tensor take_gradients(
    const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x,
    const at::Tensor& noise, const GradientOptions& options, const TakeLayer& take,
    const std::function<void()>& between_groups = [] {});

/// Means mu [n, dz] of Q(. | x).
at::Tensor latent_means(const Autoencoder& vae, const std::vector<at::Tensor>& tensors, const at::Tensor& x);

}  // namespace whence
