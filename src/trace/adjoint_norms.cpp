#include "whence/trace/adjoint_norms.h"

#include <algorithm>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "whence/trace/trace_back.h"

namespace whence {

std::vector<std::int64_t> noted_steps(std::int64_t steps) {
  std::vector<std::int64_t> noted;
  for (std::int64_t back = 0; back < steps; back += norm_stride) noted.push_back(back);
  noted.push_back(steps);
  return noted;
}

Growth largest_growth(const at::Tensor& norms, const std::vector<std::int64_t>& steps_back,
                      std::int64_t farthest) {
  const at::Tensor values = norms.to(at::kCPU, at::kDouble).contiguous();
  const double* norm = values.data_ptr<double>();
  const auto count = static_cast<std::size_t>(
      std::upper_bound(steps_back.begin(), steps_back.end(), farthest) - steps_back.begin());
  if (count < 2) return {1, 0, 0};
  const std::int64_t window = std::min(growth_window, steps_back[count - 1]);
  Growth largest{0, 0, 0};
  for (std::size_t begin = 0, end = 0; end < count; ++end) {
    while (steps_back[end] - steps_back[begin] > window) ++begin;
    if (steps_back[end] - steps_back[begin] != window || !(norm[begin] > 0)) continue;
    if (norm[end] / norm[begin] > largest.factor)
      largest = {norm[end] / norm[begin], steps_back[begin], steps_back[end]};
  }
  return largest.factor > 0 ? largest : Growth{1, 0, window};
}

// The sweep that the estimate of kink width w is of at the largest k.
std::size_t TraceBack::sweep_of_estimate(std::size_t w) const {
  const double width = options_.kink_widths[w];
  if (!is_counted(width, options_.epochs_back.back())) return w;
  const double own = beside(width, options_.epochs_back.back());
  return static_cast<std::size_t>(
      std::find_if(sweeps_.begin(), sweeps_.end(),
                   [&](const Sweep& sweep) { return sweep.kink_width == own && needed(sweep.last); }) -
      sweeps_.begin());
}

namespace {

// Of a row [n], float64; also of numbers whose squares are beyond it. A piece at a time: what it takes on the
// way is a multiple of a piece, and rows are as long as a state.
at::Tensor norm_of(const at::Tensor& row) {
  constexpr std::int64_t piece = std::int64_t{1} << 20;
  std::vector<at::Tensor> largest, squares;
  for (const at::Tensor& part : row.split(piece)) largest.push_back(part.abs().max());
  const at::Tensor scale =
      at::stack(largest).max().to(at::kDouble).clamp_min(std::numeric_limits<double>::min());
  for (const at::Tensor& part : row.split(piece))
    squares.push_back(part.to(at::kDouble).div(scale).square_().sum());
  return at::stack(squares).sum().sqrt() * scale;
}

}  // namespace

// Of theta alone, and of an average of it: other parts of a state are measured in other units.
void TraceBack::note_norms() {
  if (taken_ % norm_stride != 0 && !done()) return;
  const std::int64_t place = (taken_ + norm_stride - 1) / norm_stride;
  for (std::size_t w = 0; w < options_.kink_widths.size(); ++w) {
    const at::Tensor& all = sweeps_[estimating_[w]].u;
    const at::Tensor into =
        norms_.narrow(0, static_cast<std::int64_t>(w) * queries_.size(), queries_.size()).select(1, place);
    for (std::int64_t q = 0; q < queries_.size(); ++q) {
      const at::Tensor u = all.narrow(0, q, 1);
      at::Tensor parts = run_.optimiser.part(u, 0);
      if (run_.optimiser.model_part() != 0) parts = at::cat({parts, run_.optimiser.model(u)}, 1);
      into[q].copy_(norm_of(parts[0]));
    }
  }
}

at::Tensor TraceBack::adjoint_norms() {
  const auto widths = static_cast<std::int64_t>(options_.kink_widths.size());
  at::Tensor all = at::zeros({widths, all_queries_, norms_.size(1)}, at::kDouble);
  if (group_.rank() == 0)  // the others of the group have the same
    all.narrow(1, queries_.begin, queries_.size())
        .copy_(norms_.reshape({widths, queries_.size(), norms_.size(1)}));
  ranks_.sum(all);
  return all;
}

}  // namespace whence
