#pragma once
// Parameters that a run starts from instead of its own: another run's, or a file's.

#include <string>

#include <ATen/core/Tensor.h>

#include "whence/game/game.h"
#include "whence/io/artifact.h"
#include "whence/train/settings.h"

namespace whence {

/// theta [P] of the game's dtype from a finished run of the same networks, RUN for the model at its end
/// (Optimiser::model) or RUN:STEP for that at a recorded step, or from a file of PyTorch, FILE or FILE:KEY
/// (parameters_in_file). UsageError naming --from where there is none, or its layout is another.
at::Tensor start_parameters(const std::string& from, const Game& game);

/// theta [P] that a run starts from: start_parameters of settings.from, whose checksum goes into the
/// trajectory's attributes, so that a run is gone on with from the same start only; random ones by the seed
/// without it.
at::Tensor start_of(const RunSettings& settings, const Game& game, Attributes& attributes);

/// `from` with an absolute path; "" stays.
std::string absolute_start(const std::string& from);

}  // namespace whence
