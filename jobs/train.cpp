// whence train: takes the game's steps from the beginning (or from where an earlier job was interrupted) and
// records each of them.

#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "whence/comm/agreement.h"
#include "whence/comm/stop_vote.h"
#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/core/settings_text.h"
#include "whence/io/summary.h"
#include "whence/train/automatic_record.h"
#include "whence/train/start.h"
#include "whence/train/trajectory/writer.h"

#include "data_start.h"
#include "dry_run.h"
#include "job.h"
#include "metric_classifier.h"
#include "train_folder.h"
#include "watch.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

JobCost cost_of(const TrajectoryPlan& plan, std::int64_t first, std::int64_t last, double seconds,
                double step_seconds) {
  const double part = static_cast<double>(last - first) / static_cast<double>(plan.steps);
  const std::int64_t bytes = std::llround(part * static_cast<double>(plan.bytes()));
  return {"train", seconds, last - first, "steps", bytes, last == plan.steps, step_seconds};
}

// Everything that a trajectory.h5 of these options has besides its numbers; tools/import_checkpoints.py reads
// it.
std::string description(const TrajectoryPlan& plan, const std::vector<double>& rates) {
  const nlohmann::json json{{"schema", trajectory_schema.name},
                            {"schema_version", trajectory_schema.version},
                            {"whence_version", version()},
                            {"git_sha", git_sha()},
                            {"sign_convention", sign_convention},
                            {"attributes", plan.attributes},
                            {"steps", plan.steps},
                            {"parameters", plan.parameters},
                            {"dtype", plan.dtype == at::kFloat ? "float32" : "float64"},
                            {"recorded", plan.recorded},
                            {"instance_ids", plan.instance_ids},
                            {"rates", rates}};
  return json.dump() + "\n";
}

}  // namespace

OptionTable train_job_options() {
  OptionTable table = train_options();
  table.add<std::string>("describe", "", "write what trajectory.h5 would be into this JSON file, and stop",
                         Kind::execution);
  add_watch_options(table);
  add_access_options(table);
  add_classifier_option(table);
  add_device_options(table);
  add_execution_options(table);
  return table;
}

void run_train(const Options& options, const Communicator& all) {
  const Log log = begin_job(options, all);
  const Place place = take_place(options, all);
  const Communicator& world = place.world;
  const std::string folder = options.text("out"), trajectory = folder + "/trajectory.h5";
  const RunSettings settings = with_engine_begun(start_settings(options, log, world), trajectory, world);
  std::unique_ptr<RunParts> parts;
  Watched watched;
  world.on_every_rank([&] {
    parts = std::make_unique<RunParts>(settings, place.device);
    watched = read_watched(options, *parts);
  });
  log.say(decide_record(*parts, folder, world));
  TrajectoryPlan plan = parts->plan();
  at::Tensor theta;
  world.on_every_rank([&] { theta = start_of(parts->settings, *parts->game, plan.attributes); });
  check_data_alike(parts->data, parts->data_fingerprint, world);
  Attributes alike = plan.attributes;
  alike["settings"] = settings_without_places(alike["settings"]);  // nodes may have their data anywhere
  check_alike({alike.begin(), alike.end()}, world);
  if (const std::string path = options.text("describe"); !path.empty())
    return world.on_root([&] { write_text(path, description(plan, parts->settings.schedule.rates)); });
  if (options.flag("dry-run")) return say(needs_of_training(*parts, folder, world), world);

  std::unique_ptr<RunLock> lock;
  bool finished = false;
  world.on_root([&] {
    prepare_folder(folder, parts->settings);
    lock = std::make_unique<RunLock>(folder);
    if (!lock->caution().empty()) log.say(lock->caution());
    prepare_folder(folder, parts->settings);  // another job may have been there until now
    if (watched.every > 0) History::check(folder, history_plan(*parts, watched));
    if (!fs::exists(folder + "/run.cfg")) write_text(folder + "/run.cfg", parts->settings.text);
    finished = fs::exists(trajectory);
  });
  if (world.broadcast(static_cast<std::int64_t>(finished)) != 0) {
    const DataOptions& data = parts->settings.data;
    world.on_root([&] {
      const Run complete(folder, at::kCPU, {data.source, data.plant, data.without, "", data.access});
    });
    return log.say(folder + ": this run is already finished");
  }

  const Stopwatch watch;
  const StopSignals signals;
  StopVote vote(signals, world);
  TrajectoryWriter writer(trajectory, plan, world, place.device);

  log.say(in_words(parts->data));
  const std::int64_t first = writer.first_step();
  if (first > 0) log.say(fmt::format("going on from step {} of {}", first, plan.steps));
  TrainingWatch watching(*parts, std::move(watched), folder, first, log, world);
  Progress progress(log, "training steps", plan.steps, first);
  const at::Tensor start = first > 0 ? writer.first_params().to(place.device) : parts->state_from(theta);
  const Stopwatch steps;
  const at::Tensor end = train(
      parts->training(), start, first, plan.steps, world,
      [&](std::int64_t t, const at::Tensor& params, const at::Tensor& positions, const at::Tensor& rates) {
        if (vote.agreed()) {
          world.wait_for_device();
          watching.flush();
          writer.suspend(t, params);
          log.say(record_cost(folder, cost_of(plan, first, t, watch.seconds(), steps.seconds()), world));
          throw Interrupted(stopped_at(folder, "step", t, plan.steps));
        }
        watching.see(t, params);
        writer.record(t, params, positions, rates);
        progress.advance_to(t);
      });
  watching.finish(end);
  writer.finish(end);
  progress.advance_to(plan.steps);
  const double step_seconds = steps.seconds();
  print(world, accuracy_report(*parts, parts->optimiser->model(end)));
  log.say(record_cost(folder, cost_of(plan, first, plan.steps, watch.seconds(), step_seconds), world));
}

}  // namespace whence
