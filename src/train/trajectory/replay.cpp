#include "whence/train/trajectory/replay.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/stack.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/train/finite_watch.h"
#include "whence/train/step.h"

namespace whence {
namespace {

// Replaying on another number of ranks or another processor differs by rounding, which training amplifies
// from step to step: what lies within this share of the largest number is put down to that. In float32 all
// trainings that tests/results/machines.md lists (plain steps and Adam) are within 3e-3 after stretches of
// 100 steps, about as long as those of --record auto; a state that is 1e-2 off is no longer that of the
// recorded run, whatever the reason. In float64 the same amplification (5e5 at most) stays below 1e-10.
constexpr double rounding_double = 1e-6, rounding_float = 1e-2;
// A stretch that needs no more than this keeps all its states.
constexpr std::int64_t small_stretch = std::int64_t{16} << 20;
// The state in motion and the one handed out are there besides those kept.
constexpr std::int64_t besides = 2, least_states = 2 + besides;
constexpr std::int64_t endless = std::int64_t{1} << 62;

// binomial(states + times, states): over how many states that many kept ones reach.
std::int64_t reach(std::int64_t states, std::int64_t times) {
  double product = 1;
  for (std::int64_t i = 1; i <= std::min(states, times); ++i)
    product *= static_cast<double>(states + times + 1 - i) / static_cast<double>(i);
  return product < 4e18 ? static_cast<std::int64_t>(product + 0.5) : endless;
}

// Which of the n states from `base` on to keep, `states` of them with base itself: when those after a kept
// one have been handed out, its place is free for the ones before it.
std::vector<std::int64_t> placed(std::int64_t base, std::int64_t n, std::int64_t states) {
  std::vector<std::int64_t> steps;
  for (; n > 1 && states > 1; --states) {
    const std::int64_t times = times_taken(n, states);
    const std::int64_t ahead = std::clamp<std::int64_t>(
        std::min(reach(states, times - 1), n - reach(states - 1, times - 1)), 1, n - 1);
    base += ahead;
    n -= ahead;
    steps.push_back(base);
  }
  return steps;
}

// How many states to keep of a stretch when walking back through it.
std::int64_t states_to_keep(std::int64_t steps, std::int64_t state_bytes, std::int64_t memory) {
  const std::int64_t fitting = memory / state_bytes;
  if (fitting < least_states)
    refuse(
        "--memory: {} are too little to replay steps that were not recorded, which needs at least {} a rank",
        human_bytes(static_cast<double>(memory)),
        human_bytes(static_cast<double>(least_states * state_bytes)));
  std::int64_t twice = 2;
  while (reach(twice, 2) < steps) ++twice;
  return std::min(fitting - besides, std::max(twice, std::min(steps, small_stretch / state_bytes)));
}

// The largest difference over the largest number. A piece at a time, since copies of a state are large.
at::Tensor relative_distance(const at::Tensor& end, const at::Tensor& recorded) {
  constexpr std::int64_t piece = std::int64_t{1} << 22;
  std::vector<at::Tensor> differences, sizes;
  for (std::int64_t begin = 0; begin < end.numel(); begin += piece) {
    const std::int64_t count = std::min(piece, end.numel() - begin);
    const at::Tensor there = recorded.narrow(0, begin, count);
    differences.push_back((end.narrow(0, begin, count) - there).abs_().max());
    sizes.push_back(there.abs().max());
  }
  return at::stack(differences).max() / at::stack(sizes).max().clamp_min(1e-300);
}

}  // namespace

ReplayNeeds replay_needs(const std::vector<std::int64_t>& recorded, std::int64_t first,
                         std::int64_t state_bytes, std::int64_t memory) {
  ReplayNeeds needs{0, 0};
  for (std::size_t r = recorded.size() - 1; r > 0 && recorded[r] > first; --r) {
    const std::int64_t stretch = recorded[r] - recorded[r - 1];
    if (stretch == 1) continue;
    const std::int64_t states = states_to_keep(stretch, state_bytes, memory);
    needs.steps += stretch * times_taken(stretch, states);
    needs.states = std::max(needs.states, std::min(states, stretch) + besides);
  }
  return needs;
}

std::int64_t times_taken(std::int64_t n, std::int64_t states) {
  std::int64_t times = 0;
  while (reach(states, times) < n) ++times;
  return times;
}

Replay::Replay(const Training& training, RecordedStates recorded, ReplayOptions options)
    : training_(training), recorded_(std::move(recorded)), options_(std::move(options)) {}

at::Tensor Replay::state(std::int64_t t) {
  const auto after = std::upper_bound(recorded_.steps.begin(), recorded_.steps.end(), t);
  if (after == recorded_.steps.begin())
    fail("{}: step {} cannot be replayed, since the first recorded step is {} (train --record)",
         recorded_.name, t, recorded_.steps.front());
  const std::int64_t from = *(after - 1);
  if (from == t) return recorded_.row(t);
  if (from != from_ || t < kept_.front().step) {
    enter(from, t);
  } else {
    while (kept_.back().step > t) kept_.pop_back();
    if (kept_.back().step < t) advance(t, t);
  }
  return kept_.back().values;
}

// The stretch from a recorded step to the next one, with what is kept of it for a state at t.
void Replay::enter(std::int64_t from, std::int64_t t) {
  const std::int64_t next = *std::upper_bound(recorded_.steps.begin(), recorded_.steps.end(), from);
  const bool again = from == from_;
  from_ = from;
  kept_.clear();
  keep(from, recorded_.row(from));
  const at::Tensor& row = kept_.front().values;
  room_ = options_.walk == Walk::forth
              ? 1
              : states_to_keep(next - from, row.numel() * static_cast<std::int64_t>(row.element_size()),
                               options_.memory);
  advance(t, again ? t : next);
}

void Replay::keep(std::int64_t step, const at::Tensor& values) {
  kept_.push_back({step, values});
  most_kept_ = std::max(most_kept_, static_cast<std::int64_t>(kept_.size()));
}

// From the last kept state on to `last`, keeping the one at t and on the way there what there is room for. A
// step at or after t that ends the stretch is compared with the recorded row.
void Replay::advance(std::int64_t t, std::int64_t last) {
  const State base = kept_.back();
  const std::int64_t room = room_ - static_cast<std::int64_t>(kept_.size()) + 1;
  std::vector<std::int64_t> places = placed(base.step, t - base.step + 1, room);
  if (options_.walk == Walk::forth) kept_.pop_back();
  const auto take_note = [&](std::int64_t step, const at::Tensor& values) {
    if (step == base.step || (step != t && !std::binary_search(places.begin(), places.end(), step))) return;
    keep(step, step == last ? values : values.clone());
  };
  const at::Tensor end = train(
      training_, base.values, base.step, last, options_.ranks,
      [&](std::int64_t step, const at::Tensor& state, const at::Tensor&, const at::Tensor&) {
        take_note(step, state);
      },
      Watch::off);
  steps_taken_ += last - base.step;
  steps_since_look_ += last - base.step;
  if (last == t) return take_note(last, end);
  meetings_.push_back({from_, last, relative_distance(end, recorded_.row(last))});
  // A wait for the device that steps of a trace-back do not need anyway has to be rare.
  constexpr std::int64_t device_patience = 64 * FiniteWatch::patience;
  if (end.device().is_cpu() || steps_since_look_ >= device_patience) look_at_meetings();
}

void Replay::look_at_meetings() {
  const std::vector<Meeting> meetings = std::exchange(meetings_, {});
  steps_since_look_ = 0;
  if (meetings.empty()) return;
  options_.ranks.wait_for_device();
  std::vector<at::Tensor> on_device;
  for (const Meeting& meeting : meetings) on_device.push_back(meeting.distance);
  const at::Tensor distances = at::stack(on_device).cpu();  // waits for the device once for all
  const double rounding = distances.scalar_type() == at::kFloat ? rounding_float : rounding_double;
  for (std::size_t m = 0; m < meetings.size(); ++m) {
    const Meeting& meeting = meetings[m];
    const auto distance = distances[static_cast<std::int64_t>(m)].item<double>();
    if (!(distance <= rounding))
      fail(
          "{}: replayed from step {}, step {} is {:.1e} (relative) away from the recorded one, which is more "
          "than rounding: the file was changed, or it was recorded by another build, on another kind of "
          "processor or another number of ranks and rounding grows that far in this training; train with "
          "--record all, or with more checkpoints, where that is so",
          recorded_.name, meeting.from, meeting.to, distance);
    largest_distance_ = std::max(largest_distance_, distance);
  }
}

double Replay::largest_distance() {
  look_at_meetings();
  return largest_distance_;
}

std::string Replay::report(const Communicator& ranks) {
  double distance = 0;
  ranks.on_every_rank([&] { distance = largest_distance(); });
  const auto steps = static_cast<std::int64_t>(ranks.max(static_cast<double>(steps_taken_)));
  const auto kept = static_cast<std::int64_t>(ranks.max(static_cast<double>(most_kept_)));
  distance = ranks.max(distance);
  if (steps == 0) return "";
  return fmt::format(
      "replayed up to {} steps a rank, at most {} states kept at once; they meet the recorded ones within "
      "{:.1e} (relative)",
      steps, kept, distance);
}

}  // namespace whence
