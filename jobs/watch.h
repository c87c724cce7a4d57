#pragma once
// What `whence train` tells of a run while it trains: losses, metrics, samples.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/device/devices.h"
#include "whence/metric/metric.h"
#include "whence/train/history.h"
#include "whence/train/run.h"

#include "job.h"

namespace whence {

/// Adds --watch and --watch-every.
OptionTable& add_watch_options(OptionTable& table);

/// What is watched of a run, chosen by the options before any work; UsageError naming --watch or
/// --watch-every. Nothing of it is part of the run: it only looks at theta.
struct Watched {
  std::vector<std::shared_ptr<const Metric>> metrics = {};
  std::int64_t every = 0;  ///< steps between rows; 0: never
};
Watched read_watched(const Options& options, const RunParts& parts);

/// What is kept: the losses of all players and the metrics; samples of games that generate images.
HistoryPlan history_plan(const RunParts& parts, const Watched& watched);
/// The points that losses are of, on the run's device.
Batch watched_points(const RunParts& parts);
/// Each player's loss on them, penalties included, at theta [P]: [players] float64 on its device.
at::Tensor player_losses(const Game& game, const Batch& points, const at::Tensor& theta);

/// Looks at a run that is being trained. Losses of the players (rank 0) are of up to 500 held-out instances,
/// always the same (of training instances where none is held out), and of as many validation latents; metrics
/// are those of `influence`, shared among ranks.
class TrainingWatch {
 public:
  TrainingWatch(const RunParts& parts, Watched watched, const std::string& folder, std::int64_t first,
                const Log& log, const Communicator& world);

  /// The state before step t, or at the end. Collective, in order of t. On a device the host waits for losses
  /// only where the step loop waits anyway (TrajectoryWriter::block and FiniteWatch::patience are the same).
  void see(std::int64_t t, const at::Tensor& state);
  /// Puts on disk what was seen. Collective.
  void flush();
  /// The end of the run: history.h5. Collective.
  void finish(const at::Tensor& state);

 private:
  struct Unread {
    std::int64_t step;
    at::Tensor losses;  // [players] float64, in host memory
    std::vector<double> metrics;
  };
  bool has_row(std::int64_t t) const;
  std::vector<double> metric_values(const at::Tensor& theta) const;
  void write_down();
  void keep(const Unread& unread);
  void tell(const HistoryRow& row);

  const RunParts& parts_;
  Watched watched_;
  const Log& log_;
  const Communicator& world_;
  std::int64_t first_;
  Batch points_;
  at::Tensor sample_latents_;
  std::vector<std::int64_t> moments_;
  std::unique_ptr<History> history_;  // on rank 0
  std::deque<Unread> unread_;
  std::unique_ptr<DeviceMark> copied_;
  bool warned_ = false;
};

}  // namespace whence
