#pragma once
// An engine for devices on which asking for a step's operations takes longer than the operations.

#include <list>
#include <memory>
#include <string>

#include "whence/device/recorded_work.h"
#include "whence/game/engine.h"

namespace whence {

/// Records the operations of another engine's step, which must not wait for the device, and asks for all of
/// them as one. A step of other sizes is another recording. The results are the other engine's, bit for bit.
class RecordedEngine : public Engine {
 public:
  explicit RecordedEngine(std::shared_ptr<const Engine> engine);
  ~RecordedEngine() override;
  std::string name() const override { return engine_->name(); }
  at::Tensor gradient(const at::Tensor& params, const Batch& batch, const at::Tensor& weights) const override;
  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double kink_width) const override;

 private:
  struct Step;
  struct Recording;
  Recording& run(Step step) const;

  std::shared_ptr<const Engine> engine_;
  std::unique_ptr<WorkRecorder> recorder_;
  mutable std::list<std::unique_ptr<Recording>> recordings_;  ///< the last used first
};

}  // namespace whence
