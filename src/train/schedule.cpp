#include "whence/train/schedule.h"

#include <cmath>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {

Schedule::Schedule(ScheduleOptions options) : options_(std::move(options)) {
  if (options_.batch > options_.instances)
    refuse("--batch is {}, but there are only {} instances", options_.batch, options_.instances);
}

at::Tensor Schedule::batch(std::int64_t t) const {
  const std::int64_t epoch = t / steps_per_epoch(), place = t % steps_per_epoch();
  if (epoch != cached_epoch_) {
    const RandomStream stream(options_.seed, Purpose::shuffle, static_cast<std::uint32_t>(epoch));
    permutation_ = at::tensor(stream.permutation(options_.instances), at::kLong);
    cached_epoch_ = epoch;
  }
  return permutation_.narrow(0, place * options_.batch, options_.batch);
}

at::Tensor Schedule::rates(std::int64_t t) const {
  const auto players = static_cast<std::int64_t>(options_.rates.size());
  const double decay = options_.decay == Decay::constant ? 1.0 : 1.0 / std::sqrt(static_cast<double>(t + 1));
  std::vector<double> rates(options_.rates);
  for (std::int64_t player = 0; player < players; ++player) {
    const bool moves = options_.update == Update::simultaneous || player == players - 1 - t % players;
    rates[player] = moves ? rates[player] * decay : 0.0;
  }
  return at::tensor(rates, at::kDouble);
}

}  // namespace whence
