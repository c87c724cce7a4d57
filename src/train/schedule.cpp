#include "whence/train/schedule.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {

Schedule::Schedule(ScheduleOptions options) : options_(std::move(options)) {
  if (options_.batch > options_.instances)
    refuse("--batch is {}, but there are only {} instances", options_.batch, options_.instances);
  constexpr std::int64_t most = std::int64_t{1} << 53;  // shares of them are taken in float64
  if (options_.epochs > most / steps_per_epoch() || options_.total_steps > most)
    refuse("--epochs: more than {} steps cannot be counted (--epoch-steps, --steps)", most);
}

at::Tensor Schedule::batch(std::int64_t t) const {
  const std::int64_t pass = t / steps_per_pass(), place = t % steps_per_pass();
  if (pass != cached_pass_) {
    const RandomStream stream(options_.seed, Purpose::shuffle, static_cast<std::uint32_t>(pass));
    permutation_ = at::tensor(stream.permutation(options_.instances), at::kLong);
    cached_pass_ = pass;
  }
  return permutation_.narrow(0, place * options_.batch, options_.batch);
}

double Schedule::factor(std::int64_t t) const {
  if (t < options_.warmup) return static_cast<double>(t + 1) / static_cast<double>(options_.warmup);
  constexpr double pi = 3.14159265358979323846;
  const auto since = static_cast<double>(t - options_.warmup);
  const double share = since / static_cast<double>(steps() - options_.warmup);
  switch (options_.decay) {
    case Decay::inverse_sqrt:
      return 1.0 / std::sqrt(since + 1);
    case Decay::cosine:
      return (1 + std::cos(pi * share)) / 2;
    case Decay::linear:
      return 1 - share;
    case Decay::constant:
      break;
  }
  return 1.0;
}

// Turns come round: the last player's, then one of each other player, downwards.
bool Schedule::has_turn(std::int64_t player, std::int64_t t) const {
  const auto players = static_cast<std::int64_t>(options_.rates.size());
  if (options_.update == Update::simultaneous) return true;
  const std::int64_t place = t % (options_.last_player_steps + players - 1);
  return player == players - 1 - std::max<std::int64_t>(0, place - options_.last_player_steps + 1);
}

std::int64_t Schedule::steps_taken(std::int64_t player, std::int64_t t) const {
  const auto players = static_cast<std::int64_t>(options_.rates.size());
  if (options_.update == Update::simultaneous) return t;
  const std::int64_t round = options_.last_player_steps + players - 1, rounds = t / round, rest = t % round;
  if (player == players - 1)
    return rounds * options_.last_player_steps + std::min(rest, options_.last_player_steps);
  const std::int64_t place = options_.last_player_steps + players - 2 - player;
  return rounds + (rest > place ? 1 : 0);
}

at::Tensor Schedule::rates(std::int64_t t) const {
  std::vector<double> rates(options_.rates);
  for (std::size_t player = 0; player < rates.size(); ++player)
    rates[player] = has_turn(static_cast<std::int64_t>(player), t) ? rates[player] * factor(t) : 0.0;
  return at::tensor(rates, at::kDouble);
}

Moves Schedule::moves(std::int64_t t, const at::Tensor& rates, const ParameterLayout& layout) const {
  Moves moves;
  for (std::int64_t player = 0; player < layout.player_count(); ++player) {
    const auto [begin, end] = layout.block(player);
    moves.push_back({begin, end, rates[player].item<double>(), steps_taken(player, t)});
  }
  return moves;
}

}  // namespace whence
