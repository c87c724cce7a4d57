#pragma once
// One step of a run: what it sees, and the move itself. Training, counterfactuals and trace-back all use
// these.

#include <functional>
#include <string>
#include <vector>

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

/// Rows `rows` of step t's mini-batch, on the data's device: instances at `positions` [|S|] (on the CPU) and
/// their share of the latents. The slice that holds row 0 carries the penalty.
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

/// Looks out for numbers that are not finite in what successive steps compute, [rows, columns] each. On the
/// CPU see() throws at once. A device would have to be waited for at every step: there the first bad step of
/// each row is kept on the device, and asked for after every `patience` steps and by check().
class FiniteWatch {
 public:
  static constexpr std::int64_t patience = 64;
  /// What to say of step t, a row, and which of the parts of the columns it was found in.
  using Complaint = std::function<std::string(std::int64_t t, std::int64_t row, std::int64_t part)>;

  FiniteWatch(std::vector<Range> parts, Complaint complaint);

  /// Error of the complaint when a number of step t is not finite, or was not in a step before.
  void see(const at::Tensor& values, std::int64_t t);
  /// The same for all steps seen so far; waits for the device.
  void check();

 private:
  void see_now(const at::Tensor& values, std::int64_t t) const;

  std::vector<Range> parts_;
  Complaint complaint_;
  std::vector<std::int64_t> unread_;  // steps whose outcome has not been asked for
  at::Tensor first_bad_;              // [rows, parts] on the device: which of those was the first not finite
};

/// A watch over [R, P] values called `what` ("the gradient"), whose error names step, player and replica
/// (through `name_of`, e.g. "the training run").
FiniteWatch watch_players(const std::string& what, const ParameterLayout& layout,
                          const std::function<std::string(std::int64_t)>& name_of);

}  // namespace whence
