#pragma once
// What a step of a run sees. Training, counterfactuals and trace-back all use these.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "whence/comm/partition.h"
#include "whence/data/dataset.h"
#include "whence/game/game.h"

namespace whence {

/// Latents [rows, width] of step t for the given rows of the mini-batch, from the run's stream.
at::Tensor training_latents(std::uint64_t seed, std::int64_t t, Range rows, std::int64_t width,
                            at::ScalarType dtype);

/// Latents [count, width] that metrics are judged on, from a stream of their own; `draw`: others for the same
/// metric again.
at::Tensor validation_latents(std::uint64_t seed, std::int64_t count, std::int64_t width,
                              at::ScalarType dtype, std::int64_t draw = 0);

/// The same from another stream, for metrics that test what was decided by the first.
at::Tensor test_latents(std::uint64_t seed, std::int64_t count, std::int64_t width, at::ScalarType dtype);

/// Rows `rows` of step t's mini-batch, on the data's device: instances at `positions` [|S|] (on the CPU) and
/// their share of the latents. The slice that holds row 0 carries the penalty.
Batch make_batch(const Dataset& data, const at::Tensor& positions, std::uint64_t seed, std::int64_t t,
                 Range rows, const Game& game);

}  // namespace whence
