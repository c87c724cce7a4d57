#include "whence/game/recorded_engine.h"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include <ATen/ops/empty_like.h>

#include "whence/device/recorded_work.h"

namespace whence {
namespace {

// Recordings share the memory of a step, but each keeps its inputs and results.
constexpr std::size_t kept = 4;
// A step of sizes that come up no more often than this is not worth a recording.
constexpr int uses_before = 3;
// With more parameters than this in all replicas a device is busy with the step anyway, and copying them in
// and out costs more than asking.
constexpr std::int64_t most_parameters = std::int64_t{1} << 25;

bool alike(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.device() == b.device();
}

}  // namespace

// What a step reads: a gradient has weights, a trace has queries.
struct RecordedEngine::Step {
  at::Tensor params, weights, queries;
  Batch batch;
  double kink_width;

  std::array<at::Tensor*, 6> tensors() {
    return {&params, &weights, &queries, &batch.instances, &batch.latents, &batch.labels};
  }

  bool like(Step& other) {
    const auto mine = tensors(), theirs = other.tensors();
    return std::equal(mine.begin(), mine.end(), theirs.begin(),
                      [](const at::Tensor* a, const at::Tensor* b) { return alike(*a, *b); }) &&
           batch.divisor == other.batch.divisor && batch.carries_penalty == other.batch.carries_penalty &&
           kink_width == other.kink_width;
  }

  // From now on in memory of its own.
  void move_in() {
    for (at::Tensor* tensor : tensors())
      if (tensor->defined()) *tensor = at::empty_like(*tensor, at::MemoryFormat::Contiguous).copy_(*tensor);
  }

  void take(Step& other) {
    const auto mine = tensors(), theirs = other.tensors();
    for (std::size_t i = 0; i < mine.size(); ++i)
      if (mine[i]->defined()) mine[i]->copy_(*theirs[i], /*non_blocking=*/true);
  }
};

struct RecordedEngine::Recording {
  Step step{};
  int uses = 0;
  bool recordable = true;
  at::Tensor gradient;
  TracedStep traced;
  std::unique_ptr<RecordedWork> work;

  void compute(const Engine& engine, const Step& of) {
    if (of.queries.defined())
      traced = engine.trace(of.params, of.batch, of.queries, of.kink_width);
    else
      gradient = engine.gradient(of.params, of.batch, of.weights);
  }

  // Whether there is a recording now. Where one cannot be made (it needs memory of its own) none is tried
  // again.
  bool record(const Engine& engine, WorkRecorder& recorder, const Step& now) {
    if (work != nullptr || !recordable || ++uses <= uses_before) return work != nullptr;
    try {
      step.move_in();
      work = recorder.record([&] { compute(engine, step); });
    } catch (const std::exception&) {
      recordable = false;
      step = now;
    }
    return work != nullptr;
  }

  // The results of a step of these sizes; those of a recording are overwritten by the next.
  void run(const Engine& engine, WorkRecorder& recorder, Step& now) {
    if (!record(engine, recorder, now)) return compute(engine, now);
    step.take(now);
    work->again();
  }
};

RecordedEngine::RecordedEngine(std::shared_ptr<const Engine> engine)
    : engine_(std::move(engine)), recorder_(work_recorder()) {}
RecordedEngine::~RecordedEngine() = default;

RecordedEngine::Recording& RecordedEngine::run(Step step) const {
  const auto found = std::find_if(recordings_.begin(), recordings_.end(),
                                  [&](const auto& recording) { return recording->step.like(step); });
  if (found != recordings_.end()) {
    recordings_.splice(recordings_.begin(), recordings_, found);
  } else {
    if (recordings_.size() == kept) recordings_.pop_back();
    recordings_.push_front(std::make_unique<Recording>());
    recordings_.front()->step = step;
  }
  Recording& recording = *recordings_.front();
  recording.run(*engine_, *recorder_, step);
  return recording;
}

at::Tensor RecordedEngine::gradient(const at::Tensor& params, const Batch& batch,
                                    const at::Tensor& weights) const {
  if (params.numel() > most_parameters) return engine_->gradient(params, batch, weights);
  Recording& recording = run({params, weights, {}, batch, 0});
  return recording.work != nullptr ? recording.gradient.clone() : std::move(recording.gradient);
}

TracedStep RecordedEngine::trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                                 double kink_width) const {
  if (queries.numel() > most_parameters) return engine_->trace(params, batch, queries, kink_width);
  Recording& recording = run({params, {}, queries, batch, kink_width});
  if (recording.work == nullptr) return std::move(recording.traced);
  return {recording.traced.u_jacobian.clone(), recording.traced.u_instance.clone()};
}

}  // namespace whence
