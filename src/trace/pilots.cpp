#include "pilots.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {
namespace {

constexpr std::int64_t times = 10;

// Some instances' retraining, and their frozen moves beside it.
class Pilots {
 public:
  Pilots(const RecordedSteps& run, const std::vector<std::int64_t>& without, const at::Tensor& state)
      : run_(run),
        without_(at::tensor(without, at::kLong)),
        states_(state.repeat({without_.size(0) + 1, 1})),
        frozen_(at::zeros({without_.size(0), run.game.layout().size()}, at::kDouble)) {}

  void advance(std::int64_t t) {
    const at::Tensor weights = weights_of(t);
    add_uses(t, weights);
    take_again(run_, states_, t, weights);
  }

  // [n, P]: how far the moves are from those that are frozen.
  at::Tensor left_over() const {
    const at::Tensor wide = states_.to(at::kDouble);
    return wide.narrow(0, 1, frozen_.size(0)) - wide[0] - frozen_;
  }

 private:
  // [1 + n, |S|]
  at::Tensor weights_of(std::int64_t t) const {
    const at::Tensor positions = run_.batch(t).unsqueeze(0);
    return at::cat({at::ones_like(positions), positions != without_.unsqueeze(1)}).to(at::kDouble);
  }

  // What the step's gradient lacks at the recorded theta without each, for those that it uses.
  void add_uses(std::int64_t t, const at::Tensor& weights) {
    const std::int64_t player = run_.game.perceptrons()->instance_player();
    const Move move = run_.moves(t)[player];
    const at::Tensor used = at::nonzero((weights == 0).any(1)).squeeze(1);
    if (used.size(0) == 0 || move.rate == 0) return;
    const at::Tensor rows = at::cat({at::zeros({1}, at::kLong), used});
    const at::Tensor theta = states_[0].expand({rows.size(0), -1}).contiguous();
    const at::Tensor gradients =
        run_.engine
            .gradient(theta, batch_of_step(run_, t), weights.index_select(0, rows).to(theta.scalar_type()))
            .to(at::kDouble);
    const at::Tensor missing = gradients.narrow(0, 1, used.size(0)) - gradients[0];
    const std::int64_t size = move.end - move.begin;
    frozen_.narrow(1, move.begin, size)
        .index_add_(0, used - 1, missing.narrow(1, move.begin, size), -move.rate);
  }

  const RecordedSteps& run_;
  at::Tensor without_;  // [n] positions
  at::Tensor states_;   // [1 + n, P], the first without removal
  at::Tensor frozen_;   // [n, P]
};

// Of rows R [n, P] they are R^T v, of the largest eigenvectors v of R R^T; one where there is nothing in the
// rows.
at::Tensor main_directions_of(const at::Tensor& rows, std::int64_t most) {
  const auto [values, vectors] = at::linalg_eigh(at::mm(rows, rows.t()));
  constexpr double nothing = 1e-14;
  const std::int64_t spanned = (values > values.max() * nothing).sum().item<std::int64_t>();
  const std::int64_t r = std::max(std::min({most, spanned, rows.size(1)}), std::int64_t{1});
  const at::Tensor along = at::mm(rows.t(), vectors.flip(1).narrow(1, 0, r));
  return std::get<0>(at::linalg_qr(along)).t().contiguous();
}

}  // namespace

double pilot_rows(std::int64_t pilots) { return static_cast<double>(times * pilots); }

at::Tensor main_directions(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t pilots,
                           std::int64_t most, const Communicator& ranks) {
  const std::int64_t first = run.steps - epochs_back * run.steps_per_epoch;
  const auto order = RandomStream(run.seed, Purpose::pilots).permutation(run.data.size());
  const auto all = used_from(run, first, order, pilots);
  const auto count = static_cast<std::int64_t>(all.size());
  const Range own = part_of(count, ranks.size(), ranks.rank());
  at::Tensor rows = at::zeros({times, count, run.game.layout().size()}, at::kDouble);
  const at::Tensor state = run.state(first);
  ranks.on_every_rank([&] {
    if (own.size() == 0) return;
    Pilots some(run, {all.begin() + own.begin, all.begin() + own.end}, state);
    std::int64_t next = 0;
    for (std::int64_t t = first; t < run.steps; ++t) {
      some.advance(t);
      while (next < times && (t + 1 - first) * times >= (next + 1) * (run.steps - first))
        rows[next++].narrow(0, own.begin, own.size()).copy_(some.left_over());
    }
  });
  ranks.sum(rows);
  if (!rows.isfinite().all().item<bool>())
    fail(
        "retraining without some instances from {} epochs back: not a finite number; --crossings off leaves "
        "them out",
        epochs_back);
  at::Tensor directions;
  ranks.on_root([&] { directions = main_directions_of(rows.flatten(0, 1), most); });
  const std::int64_t r = ranks.broadcast(ranks.is_root() ? directions.size(0) : 0);
  if (!ranks.is_root()) directions = at::zeros({r, rows.size(2)}, at::kDouble);
  ranks.broadcast(directions);
  return directions;
}

}  // namespace whence
