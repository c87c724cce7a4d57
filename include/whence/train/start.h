#pragma once
// Parameters that a run starts from instead of random ones: another run's, or a PyTorch file's.

#include <string>

#include <ATen/core/Tensor.h>

#include "whence/game/game.h"
#include "whence/io/artifact.h"
#include "whence/train/settings.h"

namespace whence {

/// theta [P] of the game's dtype from `from`:
///   RUN, RUN:STEP    a finished run of the same networks, its end or a recorded step
///   FILE, FILE:KEY   a file of torch.save: a dictionary of tensors by name, or one inside it (nets.ema for
///   one
///                    inside another). Every name of the game's layout has to be there with its shape, behind
///                    one prefix that all may have; without KEY exactly one dictionary has to have them.
/// Names decide, never the order. UsageError naming --from otherwise, and where a number is not finite or a
/// tensor is not of floats.
at::Tensor start_parameters(const std::string& from, const Game& game);

/// theta [P] that a run starts from: start_parameters of settings.from, whose checksum goes into the
/// trajectory's attributes, so that a run is gone on with from the same start only; random ones by the seed
/// without it.
at::Tensor start_of(const RunSettings& settings, const Game& game, Attributes& attributes);

/// `from` with an absolute path; "" stays.
std::string absolute_start(const std::string& from);

}  // namespace whence
