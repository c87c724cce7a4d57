#pragma once
// A run folder: run.cfg and trajectory.h5, and everything that follows from them.

#include <memory>
#include <string>

#include "whence/comm/communicator.h"
#include "whence/data/places.h"
#include "whence/train/loop.h"
#include "whence/train/settings.h"
#include "whence/train/trajectory/read_ahead.h"
#include "whence/train/trajectory/reader.h"
#include "whence/train/trajectory/replay.h"

namespace whence {

/// What a set of options determines before any training: data, game, engine, schedule; and where to compute.
struct RunParts {
  RunSettings settings;
  at::Device device;
  DataSplit data;         ///< on the CPU
  Dataset training_data;  ///< data.train, on the device
  std::string data_fingerprint;
  std::shared_ptr<const Game> game;
  std::shared_ptr<const Engine> engine;
  Schedule schedule;
  std::shared_ptr<const Optimiser> optimiser;

  /// UsageError naming --engine for one that does not work on the device.
  explicit RunParts(const RunSettings& settings, at::Device device = at::kCPU);

  Training training() const { return {*game, *engine, training_data, schedule, *optimiser, settings.seed}; }
  TrajectoryPlan plan() const;
  /// Latents [N', dz] that metrics are judged on, on the device like those below.
  at::Tensor validation_latents() const;
  /// Latents [N_test, dz] of a stream of their own, to test by.
  at::Tensor test_latents() const;
  at::Tensor held_out_instances() const { return data.held_out.instances.all().to(device); }
  at::Tensor test_instances() const { return data.test.instances.all().to(device); }
  /// The optimiser's state at the start of training from random parameters.
  at::Tensor initial_state() const;
  /// The same from theta [P].
  at::Tensor state_from(const at::Tensor& theta) const;
};

/// The settings in a run folder's run.cfg; Error when there is none. Its files of data are those of `places`
/// or where find_places() sees them.
RunSettings settings_in(const std::string& folder, const DataPlaces& places = {});

/// The files of data and the model's that are named in `settings` and are not there, absolute.
std::vector<std::string> missing_files(const RunSettings& settings);

/// Error when a trajectory's settings are not these (places of files apart).
void check_settings(const Trajectory& trajectory, const RunSettings& settings);

/// A finished training run, opened to be looked into. Error in one sentence when folder or files are missing,
/// unfinished or damaged, or when settings or data are not those of the recorded run.
class Run {
 public:
  /// The files of data are taken from `places`, each option that is given there; else from where they were,
  /// or, for a folder that was moved together with its data, from a place beside or above it (data/places.h).
  /// Their fingerprint proves that they are those of the run.
  explicit Run(const std::string& folder, at::Device device = at::kCPU, const DataPlaces& places = {});

  const std::string& folder() const { return folder_; }
  const RunParts& parts() const { return parts_; }
  const Trajectory& trajectory() const { return trajectory_; }
  std::int64_t steps() const { return trajectory_.steps(); }

  /// The model [P] before step t (see Optimiser::model_part), on the device.
  at::Tensor params(std::int64_t t) const;
  /// The optimiser's state before step t (for sgd theta itself). A step that was not recorded is replayed
  /// from the nearest recorded one before it: by this rank alone, for jobs that walk forth, unless
  /// walk_back() says otherwise.
  at::Tensor state(std::int64_t t) const;
  /// From now on states are asked for backwards, by all `ranks` in step, and are read and replayed by all of
  /// them together, with at most `memory` bytes a rank (see Replay). But the end of the run any rank may ask
  /// for at any time.
  void walk_back(const Communicator& ranks, std::int64_t memory);
  /// Replay::report() of what was replayed so far. Collective.
  std::string replay_report(const Communicator& ranks) const { return replay_->report(ranks); }
  /// Says that step t will be asked for next, by a walk back. Where it was recorded and the device is not the
  /// CPU, it is read and sent there while the device is at work; on the CPU the recorded row before it is
  /// fetched from disk meanwhile.
  void expect(std::int64_t t) const;

  /// UsageError naming `option` when an element is over the run's epochs, or reaches back before the first
  /// recorded step.
  void check_epochs_back(const std::string& option, const std::vector<std::int64_t>& epochs_back) const;

 private:
  at::Tensor row(std::int64_t t) const;
  at::Tensor recorded_state(std::int64_t t) const;
  std::unique_ptr<Replay> new_replay(const ReplayOptions& options) const;

  std::string folder_;
  RunParts parts_;
  Trajectory trajectory_;
  Communicator readers_;  // of the recorded rows, together
  mutable ReadAhead ahead_;
  mutable std::int64_t prefetched_ = -1;
  std::unique_ptr<Replay> replay_;
};

}  // namespace whence
