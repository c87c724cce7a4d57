#pragma once
// The trace step as attribution code commonly does it: what Engine::trace is measured against.

#include "whence/game/engine.h"

namespace whence::bench {

/// The numbers of Engine::trace, with one double backward pass a query for u^T J, and for every instance a
/// forward and backward pass of its own loss term, whose gradient is then multiplied by all queries.
/// Player 1 is the one whose loss holds the instances.
TracedStep trace_one_by_one(const AdversarialGame& game, const at::Tensor& params, const Batch& batch,
                            const at::Tensor& queries, double kink_width);

/// Largest difference of the two, relative to the largest number of `b`: of u^T J or of the instances'
/// influence, whichever is worse.
double relative_difference(const TracedStep& a, const TracedStep& b);

}  // namespace whence::bench
