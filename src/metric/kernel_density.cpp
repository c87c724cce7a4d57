#include "whence/metric/kernel_density.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "whence/native/arrays.h"
#include "whence/native/kernels.h"
#include "whence/native/threads.h"

#include "log_factor.h"

namespace whence {
namespace {

using native::Arrays;
using native::Kernels;
using native::Outer;
using native::Product;

constexpr double ln2 = 0.69314718055994530942, log2_e = 1.4426950408889634074;

// Centres of a block: so few that their kernels at a block of points stay in the first-level cache.
constexpr std::int64_t centres_at_once = 16;

// Points of a block: their coordinates take at most 256 kB, half of a small second-level cache.
std::int64_t points_at_once(std::int64_t width) {
  return std::clamp<std::int64_t>((1 << 15) / width / 8 * 8, 8, 128);
}

// Kernels N(x; g, I) up to what depends on x alone: their exponents are x.g - |g|^2 / 2, times `scale`.
struct Centres {
  at::Tensor table;  // [m, d + 1] rows (scale g, 1): the 1 multiplies a shift of each point's own
  at::Tensor bias;   // [m] -scale |g|^2 / 2

  Centres(const at::Tensor& centres, const at::Tensor& origin, double scale)
      : table(at::ones({centres.size(0), centres.size(1) + 1}, at::kDouble)) {
    const at::Tensor g = centres - origin;
    table.narrow(1, 0, g.size(1)).copy_(g * scale);
    bias = g.square().sum(1) * (-0.5 * scale);
  }
  std::int64_t size() const { return table.size(0); }
};

// Some points, one a column, and the exponents of some kernels at them.
class PointBlock {
 public:
  PointBlock(const at::Tensor& points, Range range, const Kernels<double>& kernels)
      : kernels_(kernels),
        count_(range.size()),
        width_(points.size(1)),
        arrays_(static_cast<std::size_t>(count_), kernels.lanes),
        x_(arrays_.rows(static_cast<std::size_t>(width_ + 2))),
        exponents_(arrays_.rows(centres_at_once)),
        largest_(arrays_.rows(1)),
        sum_(arrays_.rows(1)) {
    const double* from = points.data_ptr<double>() + range.begin * width_;
    for (std::int64_t n = 0; n < count_; ++n) {
      for (std::int64_t k = 0; k < width_; ++k) row(k)[n] = from[n * width_ + k];
      row(width_ + 1)[n] = 1;
    }
  }

  // log sum_m e^exponent of each point, into out [count]. `powers`: centres scaled by log2(e).
  void log_sums(const Centres& powers, double* out) {
    std::fill_n(largest_, arrays_.columns(), -1e300);
    std::fill_n(sum_, arrays_.columns(), 0.0);
    for (std::int64_t first = 0; first < powers.size(); first += centres_at_once)
      kernels_.add_powers(exponents(powers, first, width_), arrays_.columns(), arrays_.stride(), exponents_,
                          largest_, sum_);
    for (std::int64_t n = 0; n < count_; ++n) out[n] = ln2 * largest_[n] + std::log(sum_[n]);
  }

  // Adds sum_n p_nm (x_n, -, 1) to row m of sums [m, d + 2], p_nm the share of kernel m at point n, whose
  // log_sums are given.
  void add_shares(const Centres& naturals, const double* log_sums, double* sums) {
    std::transform(log_sums, log_sums + count_, row(width_), [](double sum) { return -sum; });
    std::vector<double> part(static_cast<std::size_t>(centres_at_once * (width_ + 2)));
    for (std::int64_t first = 0; first < naturals.size(); first += centres_at_once) {
      const std::size_t rows = exponents(naturals, first, width_ + 1);
      kernels_.exp(rows * static_cast<std::size_t>(arrays_.stride()), exponents_, exponents_);
      Outer<double> outer;
      outer.rows = rows;
      outer.others = static_cast<std::size_t>(width_ + 2);
      outer.columns = arrays_.columns();
      outer.stride = arrays_.stride();
      outer.left = exponents_;
      outer.right = x_;
      outer.c = part.data();
      kernels_.outer(outer);
      kernels_.add(outer.rows * outer.others, 1, part.data(), sums + first * (width_ + 2));
    }
  }

 private:
  double* row(std::int64_t k) { return x_ + k * arrays_.stride(); }

  // Exponents of kernels from `first` on, and how many; `depth` = width + 1: row `width` of x_ is added to
  // them.
  std::size_t exponents(const Centres& centres, std::int64_t first, std::int64_t depth) {
    Product<double> product;
    product.rows = static_cast<std::size_t>(std::min(centres_at_once, centres.size() - first));
    product.columns = arrays_.columns();
    product.stride = arrays_.stride();
    product.first = {centres.table.data_ptr<double>() + first * (width_ + 1), width_ + 1, 1, x_,
                     static_cast<std::size_t>(depth)};
    product.bias = centres.bias.data_ptr<double>() + first;
    product.y = exponents_;
    kernels_.product(product);
    return product.rows;
  }

  const Kernels<double>& kernels_;
  std::int64_t count_, width_;
  Arrays<double> arrays_;
  double* x_;  // [d + 2]: coordinates, a shift, 1; padding is 0
  double *exponents_, *largest_, *sum_;
};

}  // namespace

KernelDensity::KernelDensity(const at::Tensor& points)
    : origin_(points.mean(0)),
      points_((points - origin_).contiguous()),
      half_squares_(points_.square().sum(1) * 0.5) {}

at::Tensor KernelDensity::log_density(const at::Tensor& centres) const {
  if (!centres.device().is_cpu()) return log_density_on_device(centres);
  const Centres powers(centres, origin_, log2_e);
  const std::int64_t rows = points_at_once(points_.size(1)), blocks = (size() + rows - 1) / rows;
  at::Tensor density = at::empty({size()}, at::kDouble);
  double* out = density.data_ptr<double>();
  const Kernels<double>& kernels = *native::available_kernels<double>().front();
  native::share_out(blocks, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const Range range{b * rows, std::min(size(), (b + 1) * rows)};
      PointBlock(points_, range, kernels).log_sums(powers, out + range.begin);
    }
  });
  return density - half_squares_ + log_factor(centres);
}

at::Tensor KernelDensity::by_centres(const at::Tensor& centres, Range own) const {
  if (!centres.device().is_cpu()) return by_centres_on_device(centres, own);
  const Centres powers(centres, origin_, log2_e), naturals(centres, origin_, 1);
  const std::int64_t width = points_.size(1), rows = points_at_once(width);
  at::Tensor sums = at::zeros({centres.size(0), width + 2}, at::kDouble);
  std::vector<double> log_sums(static_cast<std::size_t>(rows));
  const Kernels<double>& kernels = *native::available_kernels<double>().front();
  for (std::int64_t begin = own.begin; begin < own.end; begin += rows) {
    PointBlock block(points_, {begin, std::min(own.end, begin + rows)}, kernels);
    block.log_sums(powers, log_sums.data());
    block.add_shares(naturals, log_sums.data(), sums.data_ptr<double>());
  }
  return sums.narrow(1, 0, width) - sums.narrow(1, width + 1, 1) * (centres - origin_);
}

}  // namespace whence
