#include "dry_run_crossings.h"

#include <algorithm>

#include "job.h"

namespace whence {
namespace {

// What carrying moves takes: for each k some retraining and a look at the uses of its epochs, and then blocks
// of steps, the first two of which are timed. The farther back, the more units are in reach.
double seconds_of_carrying(const RecordedSteps& recorded, const at::Tensor& queries, TraceBackOptions options,
                           const Communicator& world) {
  if (options.carried.empty()) return 0;
  const std::vector<std::int64_t> all = options.carried;
  options.epochs_back = options.counted = options.carried = {1};
  TraceBack sweep(recorded, queries, options, world);
  std::vector<double> seconds, shares;
  const Stopwatch watch;
  sweep.look_back([&](double share) {
    seconds.push_back(world.max(watch.seconds()));
    shares.push_back(share);
    return shares.size() < 2;
  });
  const double blocks = shares.size() < 2 ? 0 : (seconds[1] - seconds[0]) / (shares[1] - shares[0]);
  const double before = std::max(seconds[0] - blocks * shares[0], 0.0);
  double sum = 0;
  for (const std::int64_t k : all) {
    const auto epochs = static_cast<double>(k);
    sum += epochs * (before + blocks * (1 + epochs / 16));
  }
  return sum;
}

// What counting crossings with frozen moves adds to a trace whose steps take `plain` seconds: looking at all
// uses of the k epochs once, before the first step; and at each step the moves of every epoch from there to
// the farthest.
double seconds_of_counting(const RecordedSteps& recorded, const at::Tensor& queries, TraceBackOptions options,
                           double plain, const Communicator& world) {
  std::int64_t farthest = 0;
  for (const std::int64_t k : options.counted)
    if (!options.is_carried(k)) farthest = k;
  if (farthest == 0) return 0;
  options.epochs_back = options.counted = {1};
  options.carried.clear();
  TraceBack sweep(recorded, queries, options, world);
  const Stopwatch first;
  sweep.step();
  const double looking = world.max(first.seconds());
  const Stopwatch others;
  double seconds = 0, each = looking;
  for (std::int64_t steps = 0; !sweep.done() && (seconds < 0.3 || !sweep.settled());
       each = seconds / static_cast<double>(steps)) {
    sweep.step();
    ++steps;
    seconds = world.max(others.seconds());
  }
  const auto epochs = static_cast<double>(farthest), steps = static_cast<double>(recorded.steps_per_epoch);
  return epochs * (looking - std::min(each, looking)) +
         steps * epochs * (epochs + 1) / 2 * std::max(each - plain, 0.0);
}

}  // namespace

CrossingNeeds needs_of_crossings(const RecordedSteps& recorded, const at::Tensor& queries,
                                 const TraceBackOptions& options, double step, const Communicator& world) {
  if (options.counted.empty()) return {0, 0};
  CrossingNeeds needs{seconds_of_counting(recorded, queries, options, step, world) +
                          seconds_of_carrying(recorded, queries, options, world),
                      0};
  const std::int64_t ranks = world.size() / options.grid.query_groups;
  for (const std::int64_t k : options.counted)
    needs.memory = std::max(needs.memory, options.is_carried(k) ? carrying_bytes(recorded, k, ranks)
                                                                : crossing_bytes(recorded, k, ranks));
  return needs;
}

}  // namespace whence
