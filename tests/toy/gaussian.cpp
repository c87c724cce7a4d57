#include "toy/gaussian.h"

#include <ATen/ops/zeros.h>

#include "whence/game/registry.h"

namespace whence {
namespace test {

Gaussian::Gaussian(std::int64_t width, at::ScalarType dtype)
    : width_(width), dtype_(dtype), layout_({"gaussian"}) {
  layout_.add(0, "mean", {width}, width, width, false);
}

at::Tensor Gaussian::initial_parameters(std::uint64_t) const { return at::zeros({width_}, dtype_); }

std::vector<at::Tensor> Gaussian::losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                         const at::Tensor& weights, double) const {
  const at::Tensor apart = batch.instances.unsqueeze(0) - tensors[0].unsqueeze(1);
  return {(weights * apart.square().sum(2)).sum(1) * (0.5 / static_cast<double>(batch.divisor))};
}

at::Tensor Gaussian::samples(const at::Tensor& params, const at::Tensor& latents) const {
  return params + latents;
}

at::Tensor Gaussian::samples_pull_back(const at::Tensor&, const at::Tensor&,
                                       const at::Tensor& by_sample) const {
  return by_sample.sum(0);
}

}  // namespace test

GameKind gaussian_kind() {
  return {"gaussian",
          "a normal distribution",
          {{"rate-mean", "learning rate of the mean"}},
          {"rate-mean"},
          {{"published", {{"dtype", "float64"}, {"rate-mean", "0.1"}, {"batch", "10"}, {"held-out", "100"}}}},
          [](const ChosenOptions& options, const InstanceKind& instances) -> std::shared_ptr<const Game> {
            return std::make_shared<test::Gaussian>(instances.width(), options.dtype());
          }};
}

}  // namespace whence
