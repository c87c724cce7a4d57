#pragma once
// One step of a run: what it sees, and the move itself. Training, counterfactuals and trace-back all use
// these.

#include <functional>
#include <string>

#include <ATen/core/Tensor.h>

#include "whence/comm/partition.h"
#include "whence/data/dataset.h"
#include "whence/game/game.h"
#include "whence/train/schedule.h"

namespace whence {

/// Latents [rows, width] of step t for the given rows of the mini-batch, from the run's stream.
at::Tensor training_latents(std::uint64_t seed, std::int64_t t, Range rows, std::int64_t width,
                            at::ScalarType dtype);

/// Latents [count, width] that metrics are judged on, from a stream of their own.
at::Tensor validation_latents(std::uint64_t seed, std::int64_t count, std::int64_t width,
                              at::ScalarType dtype);

/// The same from another stream, for metrics that test what was decided by the first.
at::Tensor test_latents(std::uint64_t seed, std::int64_t count, std::int64_t width, at::ScalarType dtype);

/// Rows `rows` of step t's mini-batch: instances at `positions` [|S|] and their share of the latents. The
/// slice that holds row 0 carries the penalty.
Batch make_batch(const Dataset& data, const at::Tensor& positions, std::uint64_t seed, std::int64_t t,
                 Range rows, const Game& game);

/// theta' = theta - B g in place: params and gradient [R, P], `rates` [P] (ParameterLayout::spread).
void move(at::Tensor& params, const at::Tensor& gradient, const at::Tensor& rates);

/// Numbers in an optimiser's state of P parameters: theta alone, or theta, m and v one after another.
std::int64_t state_size(Optimiser optimiser, std::int64_t parameters);

/// The state [R, state_size] at the start of training from theta [R, P].
at::Tensor initial_state(Optimiser optimiser, const at::Tensor& params);

/// One step of the optimiser, in place: state [R, state_size], gradient [R, P] at its theta, `rates` [P],
/// step t = 0, 1, ... A replica's bits do not depend on the others.
void move(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates, Optimiser optimiser,
          std::int64_t t);

/// Whether all elements of a contiguous float32 or float64 tensor are finite.
bool all_finite(const at::Tensor& values);

/// Error naming step, player and replica (through `name_of`, e.g. "the training run") when a row of `values`
/// [R, P], called `what` ("the gradient"), is not finite.
void check_finite(const at::Tensor& values, const std::string& what, const ParameterLayout& layout,
                  std::int64_t t, const std::function<std::string(std::int64_t)>& name_of);

}  // namespace whence
