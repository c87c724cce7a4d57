#include "whence/retrain/paths.h"

#include <algorithm>

#include <ATen/ops/ones.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/core/random.h"
#include "whence/retrain/counterfactual.h"

namespace whence {
namespace {

// The first of the last epochs' steps that uses each instance.
std::vector<std::int64_t> first_uses_of(const RecordedSteps& run, std::int64_t epochs_back) {
  return first_uses(run, run.steps - epochs_back * run.steps_per_epoch);
}

std::int64_t bytes_of_state(const RecordedSteps& run) {
  return run.optimiser.state_size(run.game.layout().size()) *
         static_cast<std::int64_t>(c10::elementSize(run.game.dtype()));
}

}  // namespace

std::vector<std::vector<std::int64_t>> instances_of_paths(const RecordedSteps& run, std::int64_t count,
                                                          const std::vector<std::int64_t>& epochs_back) {
  const auto order = RandomStream(run.seed, Purpose::paths).permutation(run.data.size());
  std::vector<std::vector<std::int64_t>> chosen;
  for (const std::int64_t epochs : epochs_back) {
    const auto used = used_from(run, run.steps - epochs * run.steps_per_epoch, order, count);
    if (static_cast<std::int64_t>(used.size()) < count)
      refuse("--paths: {} is more than the {} instances that the last {} epoch{} use{}", count, used.size(),
             epochs, epochs == 1 ? "" : "s", epochs == 1 ? "s" : "");
    chosen.push_back(used);
  }
  return chosen;
}

PathNeeds path_needs(std::int64_t steps, std::int64_t state_bytes, std::int64_t memory) {
  constexpr std::int64_t in_motion = 2;  // the state that a step begins with, and its gradient
  const std::int64_t fitting = memory / state_bytes;
  PathNeeds needs{0, 0};
  do {
    ++needs.stride;
    needs.states = steps / needs.stride + needs.stride + 1 + in_motion;
  } while (needs.states > fitting && needs.stride * needs.stride < steps);
  if (needs.states > fitting)
    refuse("--memory: {} are too little to keep a retrained path of {} steps, which needs at least {} a rank",
           human_bytes(static_cast<double>(memory)), steps,
           human_bytes(static_cast<double>(needs.states * state_bytes)));
  return needs;
}

void check_paths_fit(const RecordedSteps& run, const std::vector<std::vector<std::int64_t>>& without,
                     const std::vector<std::int64_t>& epochs_back, std::int64_t memory) {
  for (std::size_t k = 0; k < epochs_back.size(); ++k) {
    const auto first = first_uses_of(run, epochs_back[k]);
    for (const std::int64_t position : without[k])
      path_needs(run.steps - first[position], bytes_of_state(run), memory);
  }
}

RetrainedPath::RetrainedPath(const RecordedSteps& run, std::int64_t without, std::int64_t epochs_back,
                             std::int64_t memory)
    : run_(run),
      without_(without),
      first_(first_uses_of(run, epochs_back)[without]),
      step_(first_),
      stride_(path_needs(run.steps - first_, bytes_of_state(run), memory).stride),
      end_(run.state(first_)),
      gradients_(watch_players("the gradient", run.game.layout(), [this](std::int64_t) {
        return fmt::format("the path without instance {}", run_.data.ids[without_]);
      })) {}

at::Tensor RetrainedPath::after(const at::Tensor& state, std::int64_t t, at::Tensor& gradient) const {
  const at::Tensor positions = run_.batch(t);
  const at::Tensor present = positions.ne(without_).to(at::kDouble).unsqueeze(0);
  at::Tensor next = state.unsqueeze(0).clone();
  gradient = take_again(run_, next, t, present);
  return next[0];
}

void RetrainedPath::advance() {
  if ((step_ - first_) % stride_ == 0) kept_.push_back(end_);
  at::Tensor gradient;
  end_ = after(end_, step_, gradient);
  gradients_.see(gradient, step_);
  if (++step_ == run_.steps) gradients_.check();
}

at::Tensor RetrainedPath::state(std::int64_t t) const {
  if (t <= first_) return run_.state(t);
  if (t == run_.steps) return end_;
  const std::int64_t stretch = (t - first_) / stride_, place = (t - first_) % stride_;
  if (place == 0) return kept_[stretch];
  if (stretch != stretch_) {
    again_.clear();
    at::Tensor one = kept_[stretch], gradient;
    const std::int64_t begin = first_ + stretch * stride_;
    for (std::int64_t s = begin; s + 1 < std::min(begin + stride_, run_.steps); ++s) {
      one = after(one, s, gradient);
      again_.push_back(one);
    }
    stretch_ = stretch;
  }
  return again_[place - 1];
}

RecordedSteps RetrainedPath::run() const {
  RecordedSteps along = run_;
  along.state = [this](std::int64_t t) { return state(t); };
  along.expect = {};
  return along;
}

}  // namespace whence
