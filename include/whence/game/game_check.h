#pragma once
// Whether a game keeps what every job relies on.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/game/batch.h"
#include "whence/game/engine.h"
#include "whence/game/game.h"

namespace whence {

/// One claim and what was found of it.
struct GameCheck {
  std::string claim;
  std::string found;  ///< in numbers, or what went wrong
  bool holds;
};

/// In float64, at theta [P], on a mini-batch of at least 4 instances: g against central differences of the
/// losses; the trace (u^T J, and <u, dg/dw_j>) against central differences of g and against leaving instances
/// out; that an instance's term changes with no other instance; the same bits twice; slices of a mini-batch
/// add up to it; batches of 1 and 3 instances work. Errors of the game are findings.
std::vector<GameCheck> check_game(const Game& game, const Engine& engine, const at::Tensor& theta,
                                  const Batch& batch, std::uint64_t seed);

}  // namespace whence
