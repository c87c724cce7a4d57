#pragma once
// --record auto.

#include <cstdint>
#include <string>

#include "whence/comm/communicator.h"
#include "whence/train/run.h"

namespace whence {

/// What "auto" stands for: "all", where the trajectory that keeps all steps (`bytes`) needs no more than 16
/// GiB and half of the free disk; else "checkpoints:C" with C about sqrt(T).
std::string automatic_record(std::int64_t steps, std::int64_t bytes, double free_disk);

/// Decides --record auto for a run in `folder`, and puts the decision into parts.settings, so that run.cfg
/// says it; other values are left alone. Rank 0 decides by the disk as it is now, all are told; a run that
/// was begun there goes on as it was decided then. Returns the decision as a sentence for the log (on rank 0)
/// where not all steps are kept, else "". Collective.
std::string decide_record(RunParts& parts, const std::string& folder, const Communicator& ranks);

}  // namespace whence
