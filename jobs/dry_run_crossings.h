#pragma once
// What counting kink crossings adds to what whence influence needs.

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/trace/trace_back.h"

namespace whence {

struct CrossingNeeds {
  double seconds, memory;  ///< memory: bytes a rank
};

/// Beside a trace of `queries` whose steps take `step` seconds. Collective.
CrossingNeeds needs_of_crossings(const RecordedSteps& recorded, const at::Tensor& queries,
                                 const TraceBackOptions& options, double step, const Communicator& world);

}  // namespace whence
