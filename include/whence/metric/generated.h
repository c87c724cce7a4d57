#pragma once
// Generated points, and derivatives by them carried back to theta, in chunks of bounded memory.

#include <ATen/core/Tensor.h>

#include "whence/game/capabilities.h"

namespace whence {

/// G(z) [m, d] for params [P] and latents [m, dz].
at::Tensor generated(const Generator& generator, const at::Tensor& params, const at::Tensor& latents);

/// grad_theta V [P] from dV/dG(z) [m, d]: eq. (10)'s chain rule through the generator.
at::Tensor pull_back_samples(const Generator& generator, const at::Tensor& params, const at::Tensor& latents,
                             const at::Tensor& by_sample);

}  // namespace whence
