#pragma once
// What every benchmark works on: the published FCGAN on 2D-Normal, with whence train's own defaults.

#include <string>
#include <vector>

#include "whence/trace/trace_back.h"
#include "whence/train/run.h"

namespace whence::bench {

/// The parts of a run with the given options of `whence train` ("--epochs", "20", ...), all others default.
RunParts parts_with(std::vector<std::string> options);

/// One epoch of the published FCGAN, trained and kept in memory.
class TrainedEpoch {
 public:
  TrainedEpoch();
  const RunParts& parts() const { return parts_; }
  const AdversarialGame& game() const { return dynamic_cast<const AdversarialGame&>(*parts_.game); }
  std::int64_t steps() const { return parts_.schedule.steps(); }
  /// theta [P] before step t.
  const at::Tensor& params(std::int64_t t) const { return params_.at(t); }
  /// The whole mini-batch of step t.
  Batch batch(std::int64_t t) const;
  RecordedSteps recorded() const;

 private:
  RunParts parts_;
  std::vector<at::Tensor> params_;
};

}  // namespace whence::bench
