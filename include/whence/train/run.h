#pragma once
// A run folder: run.cfg and trajectory.h5, and everything that follows from them.

#include <memory>
#include <string>

#include "whence/comm/communicator.h"
#include "whence/train/loop.h"
#include "whence/train/settings.h"
#include "whence/train/trajectory.h"

namespace whence {

/// What a set of options determines before any training: data, game, engine, schedule.
struct RunParts {
  RunSettings settings;
  DataSplit data;
  std::string data_fingerprint;
  std::shared_ptr<const Game> game;
  std::shared_ptr<const Engine> engine;
  Schedule schedule;

  explicit RunParts(const RunSettings& settings);

  Training training() const { return {*game, *engine, data.train, schedule, settings.seed}; }
  TrajectoryPlan plan() const;
  /// Latents [N', dz] that metrics are judged on.
  at::Tensor validation_latents() const;
  /// Latents [N_test, dz] of a stream of their own, to test by.
  at::Tensor test_latents() const;
  /// The optimiser's state at the start of training.
  at::Tensor initial_state() const;
};

/// A finished training run, opened to be looked into. Error in one sentence when folder or files are missing,
/// unfinished or damaged, or when settings or data are not those of the recorded run.
class Run {
 public:
  explicit Run(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const RunParts& parts() const { return parts_; }
  const Trajectory& trajectory() const { return trajectory_; }
  std::int64_t steps() const { return trajectory_.steps(); }

  /// theta [P] before step t.
  at::Tensor params(std::int64_t t) const;
  /// The optimiser's state before step t (for sgd theta itself). A step that was not recorded is replayed
  /// from the nearest recorded one before it, by this rank alone; the replayed stretch is kept, since jobs
  /// walk through neighbouring steps.
  at::Tensor state(std::int64_t t) const;

  /// UsageError naming `option` when an element is over the run's epochs, or reaches back before the first
  /// recorded step.
  void check_epochs_back(const std::string& option, const std::vector<std::int64_t>& epochs_back) const;

 private:
  std::string folder_;
  RunParts parts_;
  Trajectory trajectory_;
  mutable std::int64_t replayed_from_ = -1;
  mutable std::vector<at::Tensor> replayed_;
};

}  // namespace whence
