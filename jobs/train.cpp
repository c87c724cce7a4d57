// whence train: takes the game's steps from the beginning (or from where an earlier job was interrupted) and
// records each of them.

#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/io/summary.h"

#include "job.h"
#include "judge.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// What an earlier job may have left before it could write run.cfg.
bool only_beginnings(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename() != ".lock" && entry.path().extension() != ".new") return false;
  return true;
}

// The folder is new, or holds the same run, finished or not.
void prepare_folder(const std::string& folder, const RunSettings& settings) {
  const std::string config = folder + "/run.cfg";
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) refuse("--out: cannot create {} ({})", folder, code.message());
  if (!fs::exists(config) && !only_beginnings(folder))
    refuse("--out: {} exists and is not a run folder (it has no run.cfg)", folder);
  if (fs::exists(config) && read_text(config) != settings.text)
    refuse("--out: {} holds a run with other settings (its run.cfg says which)", folder);
}

std::string needs(const TrajectoryPlan& plan, const Communicator& world) {
  const double element = plan.dtype == at::kFloat ? 4 : 8;
  return fmt::format(
      "steps {}, parameters {}, trajectory on disk {}, recording buffer {} a rank on {} ranks\n", plan.steps,
      plan.parameters, human_bytes(static_cast<double>(plan.bytes())),
      human_bytes(element * TrajectoryWriter::block * plan.parameters / world.size()), world.size());
}

}  // namespace

OptionTable train_job_options() {
  OptionTable table = train_options();
  add_execution_options(table);
  return table;
}

void run_train(const Options& options, const Communicator& world) {
  const Log log = begin_job(options, world);
  const std::string folder = options.text("out"), trajectory = folder + "/trajectory.h5";
  std::unique_ptr<RunParts> parts;
  world.together([&] { parts = std::make_unique<RunParts>(read_settings(options)); });
  const TrajectoryPlan plan = parts->plan();
  if (options.flag("dry-run")) return print(world, needs(plan, world));

  std::unique_ptr<RunLock> lock;
  bool finished = false;
  world.on_root([&] {
    prepare_folder(folder, parts->settings);
    lock = std::make_unique<RunLock>(folder);
    if (!fs::exists(folder + "/run.cfg")) write_text(folder + "/run.cfg", parts->settings.text);
    finished = fs::exists(trajectory);
  });
  if (world.broadcast(static_cast<std::int64_t>(finished)) != 0) {
    world.on_root([&] { const Run complete(folder); });
    return log.say(folder + ": this run is already finished");
  }

  const Stopwatch watch;
  TrajectoryWriter writer(trajectory, plan, world);

  const std::int64_t first = writer.first_step();
  if (first > 0) log.say(fmt::format("going on from step {} of {}", first, plan.steps));
  Progress progress(log, "training steps", plan.steps, first);
  const at::Tensor start = first > 0 ? writer.first_params() : parts->initial_state();
  const at::Tensor end = train(
      parts->training(), start, first, plan.steps, world,
      [&](std::int64_t t, const at::Tensor& params, const at::Tensor& positions, const at::Tensor& rates) {
        writer.record(t, params, positions, rates);
        progress.advance_to(t);
      });
  writer.finish(end);
  progress.advance_to(plan.steps);
  print(world, accuracy_report(*parts, end.narrow(0, 0, parts->game->layout().size())));
  record_cost(folder, {"train", watch.seconds(), plan.steps - first, "steps", plan.bytes()}, world);
}

}  // namespace whence
