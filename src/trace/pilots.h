#pragma once
// In which directions moves that are frozen go wrong, as a few retrained instances show.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/train/recorded_steps.h"

namespace whence {

/// Orthonormal directions [r, P] float64, the main ones first, of what removals in the last `epochs_back`
/// epochs have moved theta by, less the sum of their uses' gradients: of `pilots` random instances at ten
/// times. r is `most`, or less where those span less. Each pilot is retrained by one rank, as a replica; the
/// same on every rank, and on any number of them. For optimisers whose state is theta. Collective, and asks
/// for the state of one step.
at::Tensor main_directions(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t pilots,
                           std::int64_t most, const Communicator& ranks);

/// How many moves of P numbers are looked at for that.
double pilot_rows(std::int64_t pilots);

}  // namespace whence
