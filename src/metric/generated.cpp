#include "whence/metric/generated.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

namespace whence {
namespace {

constexpr std::int64_t chunk = 2048;

}  // namespace

at::Tensor generated(const Generator& generator, const at::Tensor& params, const at::Tensor& latents) {
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < latents.size(0); begin += chunk)
    parts.push_back(
        generator.samples(params, latents.narrow(0, begin, std::min(chunk, latents.size(0) - begin))));
  return at::cat(parts);
}

at::Tensor pull_back_samples(const Generator& generator, const at::Tensor& params, const at::Tensor& latents,
                             const at::Tensor& by_sample) {
  at::Tensor gradient = at::zeros_like(params);
  for (std::int64_t begin = 0; begin < latents.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, latents.size(0) - begin);
    gradient += generator.samples_pull_back(params, latents.narrow(0, begin, count),
                                            by_sample.narrow(0, begin, count));
  }
  return gradient;
}

}  // namespace whence
