#include "whence/metric/generated.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

namespace whence {
namespace {

constexpr std::int64_t chunk = 2048;

}  // namespace

at::Tensor generated(const AdversarialGame& game, const at::Tensor& params, const at::Tensor& latents) {
  const auto tensors = game.layout().views(params.unsqueeze(0));
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < latents.size(0); begin += chunk)
    parts.push_back(
        game.generate(tensors, latents.narrow(0, begin, std::min(chunk, latents.size(0) - begin)), 0.0)[0]);
  return at::cat(parts);
}

at::Tensor pull_back_samples(const AdversarialGame& game, const at::Tensor& params, const at::Tensor& latents,
                             const at::Tensor& by_sample) {
  at::Tensor gradient = at::zeros_like(params);
  for (std::int64_t begin = 0; begin < latents.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, latents.size(0) - begin);
    const at::Tensor theta = params.detach().clone().requires_grad_();
    const at::Tensor samples =
        game.generate(game.layout().views(theta.unsqueeze(0)), latents.narrow(0, begin, count), 0.0)[0];
    gradient += torch::autograd::grad({samples}, {theta}, {by_sample.narrow(0, begin, count)})[0];
  }
  return gradient;
}

}  // namespace whence
