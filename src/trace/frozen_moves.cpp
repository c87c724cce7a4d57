#include "frozen_moves.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace whence {
namespace {

// <m, grad a_c> [rows, C] of the first `rows` uses of a stretch.
at::Tensor moved_by(const KinksInReach& kinks, const MovesOfStretch& moves, std::int64_t rows) {
  at::Tensor moved;
  for (std::size_t l = 0; l <= kinks.layer; ++l) {
    const at::Tensor d = moves.d[l].narrow(0, 0, rows), h = moves.h[l].narrow(0, 0, rows);
    at::Tensor inputs = at::mm(h, kinks.h[l].t());
    if (kinks.biased[l]) inputs.add_(1);
    inputs.mul_(l == kinks.layer ? d.index_select(1, kinks.unit) : at::mm(d, kinks.by_a[l].t()));
    moved = moved.defined() ? moved.add_(inputs) : inputs;
  }
  return moved;
}

// How far the first uses of a stretch go on moving theta up to step t [rows].
at::Tensor factors(const RecordedSteps& run, const MovesOfStretch& stretch, std::int64_t rows,
                   std::int64_t t) {
  const double now = static_cast<double>(run.moves(t)[run.game.perceptrons()->instance_player()].taken);
  std::vector<double> factor(rows);
  for (std::int64_t i = 0; i < rows; ++i)
    factor[i] =
        run.optimiser.move_of(static_cast<std::int64_t>(now - stretch.taken.data_ptr<double>()[i])).value();
  return at::tensor(factor, at::kDouble);
}

// d^T V h [n, r] of d [n, out], V [r, out, in] and h [n, in], by a product of matrices over the longer of the
// two.
at::Tensor through_matrix(const at::Tensor& d, const at::Tensor& v, const at::Tensor& h) {
  const std::int64_t n = d.size(0), r = v.size(0), out = d.size(1), in = h.size(1);
  if (in >= out) return at::mm(h, v.reshape({r * out, in}).t()).view({n, r, out}).mul_(d.unsqueeze(1)).sum(2);
  return at::mm(d, v.transpose(0, 1).reshape({out, r * in})).view({n, r, in}).mul_(h.unsqueeze(1)).sum(2);
}

}  // namespace

at::Tensor frozen_moves(const RecordedSteps& run, const KinksInReach& kinks, const MovesOfStretch& stretch,
                        std::int64_t e) {
  const std::int64_t first = run.steps - (e + 1) * run.steps_per_epoch;
  const auto uses_before = [&](std::int64_t t) {
    return stretch.first_row[std::min(t - first, static_cast<std::int64_t>(stretch.first_row.size()) - 1)];
  };
  const bool frozen = run.optimiser.move_of(2).value() == 1;
  const std::int64_t rows = uses_before(kinks.step.front());
  at::Tensor moved = moved_by(kinks, stretch, rows);
  for (std::int64_t begin = 0, end = 0; begin < kinks.size(); begin = end) {
    const std::int64_t t = kinks.step[begin], own = uses_before(t);
    while (end < kinks.size() && kinks.step[end] == t) ++end;
    const at::Tensor of_step = moved.narrow(1, begin, end - begin);
    if (!frozen) of_step.narrow(0, 0, own).mul_(factors(run, stretch, own, t).unsqueeze(1));
    of_step.narrow(0, own, rows - own).zero_();
  }
  return moved;
}

at::Tensor products_with_uses(const RecordedSteps& run, const at::Tensor& v, const MovesOfStretch& stretch,
                              std::int64_t n) {
  // What is between the two products stays in the cache.
  constexpr std::int64_t uses_at_once = 64;
  const ParameterLayout& layout = run.game.layout();
  const auto views = layout.views(v);
  at::Tensor all = at::zeros({n, v.size(0)}, at::kDouble);
  std::size_t layer = 0;
  for (std::size_t i = 0; i < views.size(); ++i) {
    const ParameterSpec& spec = layout.specs()[i];
    if (spec.player != run.game.perceptrons()->instance_player()) continue;
    if (!spec.is_kernel) {  // the bias of the layer before
      all.add_(at::mm(stretch.d[layer - 1].narrow(0, 0, n), views[i].t()));
      continue;
    }
    for (std::int64_t begin = 0; begin < n; begin += uses_at_once) {
      const std::int64_t count = std::min(uses_at_once, n - begin);
      all.narrow(0, begin, count)
          .add_(through_matrix(stretch.d[layer].narrow(0, begin, count), views[i],
                               stretch.h[layer].narrow(0, begin, count)));
    }
    ++layer;
  }
  return all;
}

}  // namespace whence
