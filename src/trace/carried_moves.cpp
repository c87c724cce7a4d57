#include "carried_moves.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/trace/crossings.h"

#include "carried_step.h"
#include "frozen_moves.h"
#include "instance_moves.h"
#include "layer_record.h"
#include "pilots.h"
#include "shared_kinks.h"

namespace whence {
namespace {

constexpr std::int64_t most_pilots = 40, most_directions = 32;
// Units that are looked at together: every instance's uses are gone through for them.
constexpr std::int64_t units_at_once = 128;
// Numbers that are kept of how far units are moved, and how many units of so many instances those are.
constexpr std::int64_t numbers_at_once = std::int64_t{1} << 23;
std::int64_t units_within(std::int64_t members) {
  return std::max(numbers_at_once / std::max(members, std::int64_t{1}), std::int64_t{1});
}

// Steps whose pull on frozen moves is taken for all of them, a short part of all steps; and steps whose units
// are looked at together.
std::int64_t steps_pulled_at_once(std::int64_t all) {
  return std::clamp(all / 6, std::int64_t{1}, std::int64_t{64});
}
constexpr std::int64_t steps_at_once = 16;

// What some steps take from moves along the directions.
struct Pull {
  std::int64_t begin, end;
  at::Tensor mean;   // [r, P], over the steps
  at::Tensor along;  // [steps, r, r]: pull_b . b'
};

// The units of a few of these steps.
struct Block {
  std::int64_t begin, end;
  std::vector<KinksInReach> own;     // of each layer with units in reach, joined
  std::vector<KinksInReach> others;  // the same of other players'
};

class Carrying {
 public:
  Carrying(const RecordedSteps& run, std::int64_t epochs_back, const Communicator& ranks)
      : run_(run),
        first_(run.steps - epochs_back * run.steps_per_epoch),
        epochs_back_(epochs_back),
        ranks_(ranks),
        moves_(run, epochs_back, 1, ranks.rank(), ranks.size()) {
    moves_.take();
    for (std::size_t l = 0; l < moves_.reach().of_unit.size(); ++l) {
      reach_.of_unit.push_back(std::get<0>(of_all_ranks(moves_.reach().of_unit[l], ranks).max(0)));
      reach_.of_layer.push_back(ranks.max(moves_.reach().of_layer[l]));
    }
    directions_ = main_directions(run, epochs_back, most_pilots, most_directions, ranks);
    state_ = run.state(first_).unsqueeze(0).clone();
    for (std::size_t g = 0; g < moves_.groups(); ++g)
      w_.push_back(at::zeros({moves_.members(g).size(0), directions_.size(0)}, at::kDouble));
  }

  // The next steps up to `end`. Ranks share what is the same for all instances by steps. Collective.
  void carry(std::int64_t begin, std::int64_t end, std::vector<CrossedUnits>& crossed) {
    const Pull pull = pull_over(begin, end);
    std::vector<at::Tensor> of_frozen;
    ranks_.on_every_rank([&] {
      for (std::size_t g = 0; g < w_.size(); ++g) of_frozen.push_back(drift(pull, g));
    });
    for (std::int64_t first = begin; first < end; first += steps_at_once) {
      const Block block = look_at(first, std::min(first + steps_at_once, end));
      ranks_.on_every_rank([&] {
        for (std::size_t g = 0; g < w_.size(); ++g) carry_group(block, pull, of_frozen[g], g, crossed);
      });
    }
  }

 private:
  struct Spread {
    at::Tensor each;  // [r]
    double norm;
  };
  bool is_own(std::int64_t t) const { return t % ranks_.size() == ranks_.rank(); }
  double growth(std::int64_t begin, std::int64_t end) const;
  Spread spread_of(const at::Tensor& w, std::int64_t begin, std::int64_t end) const;
  Spread spread_of_all(std::int64_t begin, std::int64_t end) const;
  void advance(at::Tensor& state, std::int64_t t) const;
  Pull pull_over(std::int64_t begin, std::int64_t end) const;
  Block look_at(std::int64_t begin, std::int64_t end);
  struct Units;
  std::vector<Units> units_of(const Block& block, std::size_t g) const;
  at::Tensor carried(Units& units, std::int64_t first, std::int64_t end, std::size_t g) const;
  void cross(Units& units, std::int64_t t, std::size_t g, at::Tensor& change, CrossedUnits& into) const;
  void carry_group(const Block& block, const Pull& pull, const at::Tensor& of_frozen, std::size_t g,
                   std::vector<CrossedUnits>& crossed);
  at::Tensor frozen(const KinksInReach& kinks, std::size_t g) const;
  at::Tensor drift(const Pull& pull, std::size_t g) const;

  const RecordedSteps& run_;
  std::int64_t first_, epochs_back_;
  const Communicator& ranks_;
  InstanceMoves moves_;
  Reach reach_;                // of all ranks' instances
  at::Tensor directions_;      // [r, P]
  at::Tensor state_;           // [1, P], before the next step
  std::vector<at::Tensor> w_;  // of each group [members, r]
};

// How much larger w may become in the steps from `begin` to `end`: it grows about as they go on.
double Carrying::growth(std::int64_t begin, std::int64_t end) const {
  return std::min(1.2 + 2 * static_cast<double>(end - begin) / static_cast<double>(begin - first_ + 1), 4.0);
}

Carrying::Spread Carrying::spread_of(const at::Tensor& w, std::int64_t begin, std::int64_t end) const {
  if (w.size(0) == 0) return {at::zeros({w.size(1)}, at::kDouble), 0};
  const at::Tensor each = w.square().mean(0).sqrt().clamp_min(1e-300);
  return {each, (w / each).norm(2, 1).max().item<double>() * growth(begin, end)};
}

Carrying::Spread Carrying::spread_of_all(std::int64_t begin, std::int64_t end) const {
  at::Tensor squares = at::zeros({directions_.size(0)}, at::kDouble);
  for (const at::Tensor& w : w_) squares.add_(w.square().sum(0));
  ranks_.sum(squares);
  const at::Tensor each = (squares / static_cast<double>(run_.data.size())).sqrt_().clamp_min_(1e-300);
  double norm = 0;
  for (const at::Tensor& w : w_)
    if (w.size(0) > 0) norm = std::max(norm, (w / each).norm(2, 1).max().item<double>());
  return {each, ranks_.max(norm) * growth(begin, end)};
}

void Carrying::advance(at::Tensor& state, std::int64_t t) const {
  take_again(run_, state, t, at::ones({1, run_.batch(t).size(0)}, at::kDouble));
}

Pull Carrying::pull_over(std::int64_t begin, std::int64_t end) const {
  const std::int64_t r = directions_.size(0);
  Pull all{begin, end, at::zeros_like(directions_), at::zeros({end - begin, r, r}, at::kDouble)};
  ranks_.on_every_rank([&] {
    at::Tensor state = state_.clone();
    for (std::int64_t t = begin; t < end; ++t) {
      if (is_own(t)) {
        const at::Tensor pull = pull_of(run_, t, state[0], directions_);
        all.along[t - begin].copy_(at::mm(pull, directions_.t()));
        all.mean.add_(pull, 1 / static_cast<double>(end - begin));
      }
      advance(state, t);
    }
  });
  ranks_.sum(all.mean);
  ranks_.sum(all.along);
  return all;
}

Block Carrying::look_at(std::int64_t begin, std::int64_t end) {
  const Spread spread = spread_of_all(begin, end);
  CarriedStep found;
  ranks_.on_every_rank([&] {
    for (std::int64_t t = begin; t < end; ++t) {
      if (is_own(t)) {
        CarriedStep step = carried_step(run_, t, state_[0], directions_, {reach_, spread.each, spread.norm});
        std::move(step.own.begin(), step.own.end(), std::back_inserter(found.own));
        std::move(step.others.begin(), step.others.end(), std::back_inserter(found.others));
      }
      advance(state_, t);
    }
  });
  const auto by_layer = [&](const std::vector<KinksInReach>& of_rank) {
    std::map<std::size_t, std::vector<KinksInReach>> layers;
    for (KinksInReach& kinks : shared_kinks(of_rank, ranks_)) layers[kinks.layer].push_back(std::move(kinks));
    std::vector<KinksInReach> all;
    for (const auto& [layer, parts] : layers) all.push_back(joined(parts));
    return all;
  };
  return {begin, end, by_layer(found.own), by_layer(found.others)};
}

// What frozen moves do to units [members, C].
at::Tensor Carrying::frozen(const KinksInReach& kinks, std::size_t g) const {
  at::Tensor all = at::zeros({moves_.members(g).size(0), kinks.size()}, at::kDouble);
  if (kinks.size() == 0) return all;
  const std::int64_t now = (run_.steps - 1 - kinks.step.front()) / run_.steps_per_epoch;
  for (std::int64_t begin = 0; begin < kinks.size(); begin += units_at_once) {
    const std::int64_t end = std::min(begin + units_at_once, kinks.size());
    const KinksInReach some = chosen(kinks, at::arange(begin, end, at::kLong));
    const at::Tensor into = at::zeros({all.size(0), end - begin}, at::kDouble);
    for (std::int64_t e = now; e < epochs_back_; ++e) {
      const MovesOfStretch& stretch = moves_.stretch(g, e);
      const at::Tensor moved = frozen_moves(run_, some, stretch, e);
      into.index_add_(0, stretch.who.narrow(0, 0, moved.size(0)), moved);
    }
    all.narrow(1, begin, end - begin).copy_(into);
  }
  return all;
}

// <pull, m> [members, r] of frozen moves m, for each step on average: a use in one of these steps counts for
// those after it.
at::Tensor Carrying::drift(const Pull& pull, std::size_t g) const {
  at::Tensor all = at::zeros_like(w_[g]);
  for (std::int64_t e = (run_.steps - 1 - pull.begin) / run_.steps_per_epoch; e < epochs_back_; ++e) {
    const MovesOfStretch& stretch = moves_.stretch(g, e);
    const std::int64_t first = run_.steps - (e + 1) * run_.steps_per_epoch,
                       end = std::min(pull.end, first + run_.steps_per_epoch),
                       rows = stretch.first_row[end - first];
    at::Tensor share = at::ones({rows, 1}, at::kDouble);
    for (std::int64_t t = std::max(pull.begin, first); t < end; ++t) {
      const std::int64_t row = stretch.first_row[t - first];
      share.narrow(0, row, stretch.first_row[t - first + 1] - row)
          .fill_(static_cast<double>(pull.end - 1 - t) / static_cast<double>(pull.end - pull.begin));
    }
    all.index_add_(0, stretch.who.narrow(0, 0, rows),
                   products_with_uses(run_, pull.mean, stretch, rows).mul_(share));
  }
  return all;
}

// Units of one layer in a group's reach.
struct Carrying::Units {
  KinksInReach kinks;
  bool own;                 // of the player that holds the instances
  std::int64_t left;        // the units of steps that are still to come are the first
  at::Tensor moved;         // by frozen moves, the units from `moved_from` on [n, members]
  std::int64_t moved_from;  // up to `left` or farther
};

std::vector<Carrying::Units> Carrying::units_of(const Block& block, std::size_t g) const {
  const Spread spread = spread_of(w_[g], block.begin, block.end);
  const CarriedReach reach{moves_.reach(g), spread.each, spread.norm};
  std::vector<Units> all;
  const auto add = [&](const KinksInReach& kinks, const at::Tensor& bound, bool own) {
    KinksInReach some = chosen(kinks, at::nonzero(kinks.a.abs() <= bound).squeeze(1));
    const std::int64_t size = some.size();
    if (size == 0) return;
    all.push_back({std::move(some), own, size, {}, size});
  };
  for (const KinksInReach& kinks : block.own)
    add(kinks, kinks.distance_in(reach.frozen) + reach.distance_along(kinks.along), true);
  for (const KinksInReach& kinks : block.others) add(kinks, reach.distance_along(kinks.along), false);
  return all;
}

// How far units `first` to `end` are carried [n, members], on the way through a block's units.
at::Tensor Carrying::carried(Units& units, std::int64_t first, std::int64_t end, std::size_t g) const {
  const at::Tensor along = units.kinks.along.narrow(1, first, end - first).t(), w = w_[g].t();
  if (!units.own) return at::mm(along, w);
  if (first < units.moved_from) {
    units.moved_from = std::max(end - units_within(w.size(1)), std::int64_t{0});
    const at::Tensor places = at::arange(units.moved_from, end, at::kLong);
    units.moved = frozen(chosen(units.kinks, places), g).t().contiguous();
  }
  return at::addmm(units.moved.narrow(0, first - units.moved_from, end - first), along, w);
}

// Keeps which of step t's units cross, and adds to `change` [members, r] what that takes from w.
void Carrying::cross(Units& units, std::int64_t t, std::size_t g, at::Tensor& change,
                     CrossedUnits& into) const {
  const std::int64_t r = change.size(1), members = change.size(0);
  std::int64_t end = units.left;
  while (units.left > 0 && units.kinks.step[units.left - 1] == t) --units.left;
  const std::int64_t* position = moves_.members(g).data_ptr<std::int64_t>();
  for (std::int64_t first = end; first > units.left; end = first) {
    first = std::max(units.left, end - units_within(members));
    const at::Tensor moved = carried(units, first, end, g),
                     kappa = units.kinks.kappa.narrow(1, first, end - first).t().contiguous();
    const double* by = moved.data_ptr<double>();
    for (std::int64_t c = 0; c < end - first; ++c) {
      const double a = units.kinks.a.data_ptr<double>()[first + c];
      const bool open = a > 0;
      for (std::int64_t i = 0; i < members; ++i, ++by) {
        if ((*by + a > 0) == open) continue;
        const std::int8_t up = open ? -1 : 1;
        into.instance.push_back(position[i]);
        into.unit.push_back(static_cast<std::int32_t>(units.kinks.id.data_ptr<std::int64_t>()[first + c]));
        into.up.push_back(up);
        double* own = change.data_ptr<double>() + i * r;
        const double* jump = kappa.data_ptr<double>() + c * r;
        for (std::int64_t b = 0; b < r; ++b) own[b] += units.kinks.jump * up * jump[b];
      }
    }
  }
}

void Carrying::carry_group(const Block& block, const Pull& pull, const at::Tensor& of_frozen, std::size_t g,
                           std::vector<CrossedUnits>& crossed) {
  at::Tensor& w = w_[g];
  std::vector<Units> all = units_of(block, g);
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    at::Tensor change = of_frozen + at::mm(w, pull.along[t - pull.begin].t());
    for (Units& units : all) cross(units, t, g, change, crossed[t - first_]);
    w.sub_(change);
  }
  if (w.size(0) > 0 && !std::isfinite(w.abs().max().item<double>()))
    fail("moves carried forward to step {}: not a finite number; --crossings off leaves them out", block.end);
}

}  // namespace

CarriedMoves::CarriedMoves(const RecordedSteps& run, std::int64_t epochs_back, const Communicator& ranks)
    : run_(run),
      epochs_back_(epochs_back),
      first_(run.steps - epochs_back * run.steps_per_epoch),
      ranks_(ranks) {}

// The pilots' rows, and what they are multiplied to; a step's replicas along the directions; each instance's
// w; the units of some steps, of which as a rule a twentieth is in reach (thrice while ranks exchange them),
// and twice how far they are moved; and those that cross, about 3 k^2 an instance.
double CarriedMoves::bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks) {
  const auto parameters = static_cast<double>(run.game.layout().size()),
             a_sample = static_cast<double>(numbers_a_sample(run.game)),
             samples = 2 * static_cast<double>(run.batch(run.steps - 1).size(0)),
             instances = static_cast<double>(run.data.size()) / static_cast<double>(ranks);
  const double pilots = 2 * pilot_rows(most_pilots) * parameters;
  const double step = most_directions * (6 * parameters + 2 * samples * a_sample);
  const double units = steps_at_once * samples * a_sample / 4 / 20;
  const double of_units = (ranks > 1 ? 3 : 1) * units * (a_sample + 2 * most_directions) +
                          2 * std::min(static_cast<double>(numbers_at_once), units * instances);
  const double crossed = 3 * std::pow(passes(run, epochs_back * run.steps_per_epoch), 2) * 2 * instances;
  return 8 * (std::max(pilots, step + of_units) + crossed + most_directions * (parameters + 4 * instances));
}

bool CarriedMoves::carry(const std::function<bool(double)>& going_on) {
  Carrying carrying(run_, epochs_back_, ranks_);
  crossed_.assign(run_.steps - first_, {});
  for (std::int64_t begin = first_; begin < run_.steps;) {
    const std::int64_t epoch_end = begin + run_.steps_per_epoch - (begin - first_) % run_.steps_per_epoch;
    const std::int64_t end = std::min(begin + steps_pulled_at_once(run_.steps - first_), epoch_end);
    carrying.carry(begin, end, crossed_);
    begin = end;
    if (!going_on(static_cast<double>(begin - first_) / static_cast<double>(run_.steps - first_)))
      return false;
  }
  return true;
}

}  // namespace whence
