#include <algorithm>
#include <vector>

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/metric/kernel_density.h"

#include "log_factor.h"

namespace whence {
namespace {

// Points of a block, so that its kernels [points, centres] take about 128 MB.
std::int64_t points_at_once(std::int64_t centres) { return std::max<std::int64_t>(1, (1 << 24) / centres); }

// x.g - |g|^2 / 2 of points x and centres g, both less the origin: [points, centres].
at::Tensor exponents(const at::Tensor& x, const at::Tensor& g) {
  return at::addmm(g.square().sum(1) * -0.5, x, g.t());
}

}  // namespace

at::Tensor KernelDensity::log_density_on_device(const at::Tensor& centres) const {
  const at::Tensor g = centres - origin_;
  const std::int64_t rows = points_at_once(g.size(0));
  std::vector<at::Tensor> sums;
  for (std::int64_t begin = 0; begin < size(); begin += rows)
    sums.push_back(
        at::logsumexp(exponents(points_.narrow(0, begin, std::min(rows, size() - begin)), g), {1}));
  return at::cat(sums) - half_squares_ + log_factor(centres);
}

at::Tensor KernelDensity::by_centres_on_device(const at::Tensor& centres, Range own) const {
  const at::Tensor g = centres - origin_;
  const std::int64_t rows = points_at_once(g.size(0));
  at::Tensor by_point = at::zeros_like(g), shares = at::zeros({g.size(0), 1}, g.options());
  for (std::int64_t begin = own.begin; begin < own.end; begin += rows) {
    const at::Tensor x = points_.narrow(0, begin, std::min(rows, own.end - begin));
    const at::Tensor p = exponents(x, g).softmax(1);  // p_nm
    by_point += at::mm(p.t(), x);
    shares += p.sum(0).unsqueeze(1);
  }
  return by_point - shares * g;
}

}  // namespace whence
