#pragma once
// One step of a run: what it sees, and the move itself. Training, counterfactuals and trace-back all use
// these.

#include <functional>
#include <string>

#include <ATen/core/Tensor.h>

#include "whence/comm/partition.h"
#include "whence/data/dataset.h"
#include "whence/game/game.h"

namespace whence {

/// Latents [rows, width] of step t for the given rows of the mini-batch, from the run's stream.
at::Tensor training_latents(std::uint64_t seed, std::int64_t t, Range rows, std::int64_t width,
                            at::ScalarType dtype);

/// Latents [count, width] that metrics are judged on, from a stream of their own.
at::Tensor validation_latents(std::uint64_t seed, std::int64_t count, std::int64_t width,
                              at::ScalarType dtype);

/// Rows `rows` of step t's mini-batch: instances at `positions` [|S|] and their share of the latents. The
/// slice that holds row 0 carries the penalty.
Batch make_batch(const Dataset& data, const at::Tensor& positions, std::uint64_t seed, std::int64_t t,
                 Range rows, const Game& game);

/// theta' = theta - B g in place: params and gradient [R, P], `rates` [P] (ParameterLayout::spread).
void move(at::Tensor& params, const at::Tensor& gradient, const at::Tensor& rates);

/// Whether all elements of a contiguous float32 or float64 tensor are finite.
bool all_finite(const at::Tensor& values);

/// Error naming step, player and replica (through `name_of`, e.g. "the training run") when a row of `values`
/// [R, P], called `what` ("the gradient"), is not finite.
void check_finite(const at::Tensor& values, const std::string& what, const ParameterLayout& layout,
                  std::int64_t t, const std::function<std::string(std::int64_t)>& name_of);

}  // namespace whence
