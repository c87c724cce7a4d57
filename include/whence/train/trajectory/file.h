#pragma once
// The recorded run: A[t] = (S, Z, B, theta) of every step (Terashita et al., algorithm 1).
//
// trajectory.h5, schema "whence.trajectory" version 1 (T steps, P parameters, |S| batch, n players, M
// recorded):
//   steps      [M]      int64   which step each row of params is (ascending; the last is T)
//   params     [M, P]           theta before that step; T: at the end
//   params_crc [M]      int32   CRC-32 of each row (its bits)
//   batch      [T,|S|]  int64   positions in the training set
//   rate       [T, n]   float64 learning rate of each player
//   batch_crc  [T]      int32   CRC-32 of a step's batch and rate rows
//   instance_id[N]      int64   id in the data source of each position
//   committed  [1]      int64   steps safely on disk; T when finished
//   state      [2, P], state_step [2], state_crc [2]: theta of the committed step, in one of two places,
//   where
//              params does not have it; step 0 and zeros when finished
// Latents are regenerated from their stream. While training goes on the file is called trajectory.h5.part.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/artifact.h"

namespace whence {

inline const Schema trajectory_schema{"whence.trajectory", 1};

/// The arrays above; `steps` also begin at 0 or later and end with T.
inline const ArrayRules trajectory_arrays{{"steps", {at::kLong}, {"M"}, Numbers::ascending},
                                          {"params", {at::kFloat, at::kDouble}, {"M", "P"}, Numbers::finite},
                                          {"params_crc", {at::kInt}, {"M"}},
                                          {"batch", {at::kLong}, {"T", "S"}, Numbers::any, "N"},
                                          {"rate", {at::kDouble}, {"T", "n"}, Numbers::not_negative},
                                          {"batch_crc", {at::kInt}, {"T"}},
                                          {"instance_id", {at::kLong}, {"N"}},
                                          {"committed", {at::kLong}, {"1"}, Numbers::not_negative},
                                          {"state", {at::kFloat, at::kDouble}, {"2", "P"}},
                                          {"state_step", {at::kLong}, {"2"}},
                                          {"state_crc", {at::kInt}, {"2"}}};

/// What is known of a run before its first step.
struct TrajectoryPlan {
  Attributes attributes;  ///< settings, seed, data fingerprint, layout
  std::int64_t steps, parameters, batch, players;
  at::ScalarType dtype;
  std::vector<std::int64_t> recorded;      ///< see recorded_steps()
  std::vector<std::int64_t> instance_ids;  ///< [N]

  /// Bytes of the finished file, up to a few kB.
  std::int64_t bytes() const;
};

}  // namespace whence
