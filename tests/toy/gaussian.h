#pragma once
// A game made for tests, added the way src/README.md says: this header, one source, one line among the
// registered games.

#include <memory>
#include <string>
#include <vector>

#include "whence/game/game.h"

namespace whence::test {

/// A normal distribution N(theta, I) fitted to the instances: L = sum_j w_j |x_j - theta|^2 / 2 / |S|. Its
/// samples are theta + z.
class Gaussian : public Game, public Generator {
 public:
  Gaussian(std::int64_t width, at::ScalarType dtype);

  std::string name() const override { return "gaussian"; }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return width_; }
  at::ScalarType dtype() const override { return dtype_; }
  at::Tensor initial_parameters(std::uint64_t seed) const override;
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double kink_width) const override;

  const Generator* generator() const override { return this; }
  at::Tensor samples(const at::Tensor& params, const at::Tensor& latents) const override;
  at::Tensor samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                               const at::Tensor& by_sample) const override;

 private:
  std::int64_t width_;
  at::ScalarType dtype_;
  ParameterLayout layout_;
};

}  // namespace whence::test
