#include "whence/data/images.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/empty.h>

namespace whence {
namespace {

// One output pixel's two neighbours along an axis, and the share of the second.
struct Neighbours {
  std::int64_t first, second;
  double share;
};

std::vector<Neighbours> neighbours(std::int64_t from, std::int64_t to) {
  std::vector<Neighbours> all;
  for (std::int64_t i = 0; i < to; ++i) {
    // The centre of output pixel i, in units of input pixels with their centres at 0, 1, ...
    const double centre = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / to - 0.5;
    const double place = std::clamp(centre, 0.0, static_cast<double>(from - 1));
    const auto first = static_cast<std::int64_t>(std::floor(place));
    all.push_back({first, std::min(first + 1, from - 1), place - static_cast<double>(first)});
  }
  return all;
}

template <typename T>
void resize(const T* in, std::int64_t width_in, const std::vector<Neighbours>& rows,
            const std::vector<Neighbours>& columns, T* out) {
  for (const Neighbours& y : rows) {
    const T *above = in + y.first * width_in, *below = in + y.second * width_in;
    for (const Neighbours& x : columns) {
      const double top = above[x.first] + x.share * (above[x.second] - above[x.first]);
      const double bottom = below[x.first] + x.share * (below[x.second] - below[x.first]);
      *out++ = static_cast<T>(top + y.share * (bottom - top));
    }
  }
}

template <typename T>
void resize_all(const at::Tensor& planes, at::Tensor& out) {
  const std::int64_t h = planes.size(1), w = planes.size(2), pixels = out.size(1) * out.size(2);
  const auto rows = neighbours(h, out.size(1)), columns = neighbours(w, out.size(2));
  for (std::int64_t n = 0; n < planes.size(0); ++n)
    resize(planes.data_ptr<T>() + n * h * w, w, rows, columns, out.data_ptr<T>() + n * pixels);
}

}  // namespace

at::Tensor resize_bilinear(const at::Tensor& planes, std::int64_t height, std::int64_t width) {
  const at::Tensor in = planes.contiguous();
  at::Tensor out = at::empty({in.size(0), height, width}, in.options());
  if (in.scalar_type() == at::kFloat)
    resize_all<float>(in, out);
  else
    resize_all<double>(in, out);
  return out;
}

}  // namespace whence
