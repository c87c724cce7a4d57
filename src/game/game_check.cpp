#include "whence/game/game_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {
namespace {

// Central differences lose about half of the digits; over a longer step they cross kinks, over a shorter one
// they lose more, and at a kink none is right: the best of several steps at several places is taken. A wrong
// derivative is wrong at all of them.
constexpr double steps[] = {1e-4, 1e-5, 1e-6, 1e-7}, by_differences = 1e-4, by_rounding = 1e-9;

constexpr double aside = 1e-3;
constexpr int places = 3;

class Checker {
 public:
  Checker(const Game& game, const Engine& engine, at::Tensor theta, const Batch& batch, std::uint64_t seed)
      : game_(game), engine_(engine), theta_(std::move(theta)), batch_(batch), seed_(seed) {
    at::Tensor weights = at::ones({1, batch.instances.size(0)}, theta_.options());
    present_ = weights;
  }

  std::vector<GameCheck> all() {
    add("losses and gradient are finite", 0, [this] { return finite(); });
    add("g is the slope of each player's loss", by_differences, [this] { return slope_of_losses(); });
    add("the trace is the slope of g", by_differences, [this] { return slope_of_gradient(); });
    add("the trace knows what leaving an instance out does", by_rounding,
        [this] { return without_instances(); });
    add("a term depends on its own instance alone", by_rounding, [this] { return mixing(); });
    add("the same bits twice", 0, [this] { return other_bits(); });
    add("two slices of a mini-batch add up to it", by_rounding, [this] { return slices(); });
    add("batches of 1 and 3 instances", 0, [this] { return other_sizes(); });
    return std::move(checks_);
  }

 private:
  void add(const std::string& claim, double tolerance, const std::function<double()>& error) {
    try {
      const double found = error();
      checks_.push_back({claim, fmt::format("{:.1e}", found), found <= tolerance});
    } catch (const std::exception& problem) {  // a model may fail in any way
      checks_.push_back({claim, one_line(problem), false});
    }
  }

  at::Tensor direction(std::uint32_t number) const {
    at::Tensor values = at::empty({theta_.size(0)}, at::kDouble);
    RandomStream(seed_, Purpose::targets, number).normal(0, values.data_ptr<double>(), values.numel());
    return values / values.norm();
  }
  std::vector<double> losses(const at::Tensor& theta, const Batch& batch, const at::Tensor& weights) const {
    const at::NoGradGuard no_graph;
    std::vector<double> values;
    for (const at::Tensor& loss : game_.losses(game_.layout().views(theta.unsqueeze(0)), batch, weights, 0))
      values.push_back(loss[0].item<double>());
    return values;
  }
  at::Tensor gradient(const at::Tensor& theta) const {
    return engine_.gradient(theta.unsqueeze(0), batch_, present_)[0];
  }
  Batch rows(std::int64_t begin, std::int64_t count, std::int64_t divisor) const {
    Batch part{batch_.instances.narrow(0, begin, count), batch_.latents.narrow(0, begin, count), divisor,
               begin == 0};
    if (batch_.labels.defined()) part.labels = batch_.labels.narrow(0, begin, count);
    return part;
  }
  static double apart(double one, double other, double scale) {
    return std::abs(one - other) / std::max(scale, 1e-12);
  }
  static double apart(const at::Tensor& one, const at::Tensor& other) {
    return (one - other).abs().max().item<double>() / std::max(other.abs().max().item<double>(), 1e-12);
  }

  double finite() const {
    double bad = 0;
    for (const double loss : losses(theta_, batch_, present_)) bad += !std::isfinite(loss);
    bad += (at::isfinite(gradient(theta_)).logical_not()).sum().item<double>();
    return bad;
  }

  // error(theta, step) where it is least.
  double best(const std::function<double(const at::Tensor&, double)>& error) const {
    double least = std::numeric_limits<double>::infinity();
    for (int place = 0; place < places && !(least <= by_differences); ++place)
      for (const double step : steps)
        least = std::min(least, error(theta_ + direction(6 + place) * (aside * place), step));
    return least;
  }

  double slope_of_losses() const {
    return best([this](const at::Tensor& theta, double step) { return slope_of_losses(theta, step); });
  }
  double slope_of_losses(const at::Tensor& theta, double step) const {
    const at::Tensor g = gradient(theta);
    double worst = 0;
    for (std::int64_t player = 0; player < game_.layout().player_count(); ++player) {
      const auto [begin, end] = game_.layout().block(player);
      const at::Tensor v = at::zeros_like(theta_);
      const at::Tensor own = v.narrow(0, begin, end - begin);
      own.copy_(direction(1).narrow(0, begin, end - begin));
      // Along g itself, too: a random direction may have little of it.
      own.add_(g.narrow(0, begin, end - begin) / std::max(g.norm().item<double>(), 1e-12));
      const double expected = (g * v).sum().item<double>();
      const double ahead = losses(theta + v * step, batch_, present_)[player],
                   behind = losses(theta - v * step, batch_, present_)[player];
      worst = std::max(worst, apart((ahead - behind) / (2 * step), expected, std::abs(expected)));
    }
    return worst;
  }

  double slope_of_gradient() const {
    return best([this](const at::Tensor& theta, double step) { return slope_of_gradient(theta, step); });
  }
  double slope_of_gradient(const at::Tensor& theta, double step) const {
    const at::Tensor u = direction(2);
    const TracedStep traced = engine_.trace(theta, batch_, u.unsqueeze(0), 0);
    const at::Tensor along = traced.u_jacobian[0];
    const at::Tensor v = direction(3) + along / std::max(along.norm().item<double>(), 1e-12);
    const double expected = (along * v).sum().item<double>();
    const at::Tensor slope = (gradient(theta + v * step) - gradient(theta - v * step)) / (2 * step);
    return apart((slope * u).sum().item<double>(), expected, std::abs(expected));
  }

  double without_instances() const {
    const at::Tensor u = direction(4);
    const at::Tensor traced = engine_.trace(theta_, batch_, u.unsqueeze(0), 0).u_instance[0];
    const at::Tensor whole = gradient(theta_);
    double worst = 0;
    for (const std::int64_t j : {std::int64_t{0}, batch_.instances.size(0) - 1}) {
      at::Tensor weights = present_.clone();
      weights[0][j] = 0;
      const at::Tensor left = whole - engine_.gradient(theta_.unsqueeze(0), batch_, weights)[0];
      const double scale = std::max(traced.abs().max().item<double>(), whole.abs().max().item<double>());
      worst = std::max(worst, apart((left * u).sum().item<double>(), traced[j].item<double>(), scale));
    }
    return worst;
  }

  double mixing() const {
    Batch other = batch_;
    other.instances = batch_.instances.clone();
    other.instances[0].copy_(batch_.instances[1] * 0.75 + batch_.instances[0] * 0.125);
    at::Tensor without_first = present_.clone();
    without_first[0][0] = 0;
    const auto before = losses(theta_, batch_, without_first), after = losses(theta_, other, without_first);
    double worst = 0;
    for (std::size_t p = 0; p < before.size(); ++p)
      worst = std::max(worst, apart(after[p], before[p], std::abs(before[p])));
    return worst;
  }

  double other_bits() const {
    const at::Tensor u = direction(5).unsqueeze(0);
    const TracedStep one = engine_.trace(theta_, batch_, u, 0), two = engine_.trace(theta_, batch_, u, 0);
    return !gradient(theta_).equal(gradient(theta_)) + !one.u_jacobian.equal(two.u_jacobian) +
           !one.u_instance.equal(two.u_instance);
  }

  double slices() const {
    const std::int64_t all = batch_.instances.size(0), first = all / 2;
    at::Tensor sum;
    for (const auto& [begin, count] : {std::pair{std::int64_t{0}, first}, std::pair{first, all - first}}) {
      const at::Tensor part = engine_.gradient(theta_.unsqueeze(0), rows(begin, count, batch_.divisor),
                                               present_.narrow(1, begin, count))[0];
      sum = sum.defined() ? sum + part : part;
    }
    return apart(sum, gradient(theta_));
  }

  double other_sizes() const {
    double bad = 0;
    for (const std::int64_t size : {1, 3}) {
      const at::Tensor g =
          engine_.gradient(theta_.unsqueeze(0), rows(0, size, size), present_.narrow(1, 0, size));
      bad += at::isfinite(g).logical_not().sum().item<double>();
    }
    return bad;
  }

  const Game& game_;
  const Engine& engine_;
  at::Tensor theta_, present_;
  Batch batch_;
  std::uint64_t seed_;
  std::vector<GameCheck> checks_;
};

}  // namespace

std::vector<GameCheck> check_game(const Game& game, const Engine& engine, const at::Tensor& theta,
                                  const Batch& batch, std::uint64_t seed) {
  return Checker(game, engine, theta, batch, seed).all();
}

}  // namespace whence
