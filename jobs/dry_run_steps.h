#pragma once
// What the needs of jobs that take a game's steps are made of.

#include "whence/train/recorded_steps.h"

#include "job.h"

namespace whence {

/// Of one state.
double bytes_of(const Run& run);

/// The recorded steps with the end of the run in place of every state: as much work, and nothing to replay.
RecordedSteps without_states(const Run& run);

/// Of a step of training from `state` on.
double step_seconds(const RunParts& parts, const at::Tensor& state, const Communicator& ranks,
                    const Communicator& world);

}  // namespace whence
