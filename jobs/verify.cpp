// whence verify RUN: checks every checksum of a run folder.

#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <map>

#include "whence/core/error.h"
#include "whence/density/files.h"
#include "whence/io/block_store.h"
#include "whence/retrain/begun_blocks.h"
#include "whence/retrain/cleansing.h"
#include "whence/retrain/groups.h"
#include "whence/retrain/path_traces.h"
#include "whence/retrain/truth.h"
#include "whence/trace/estimates.h"
#include "whence/trace/trace_checkpoint.h"
#include "whence/tracin/file.h"
#include "whence/train/history.h"
#include "whence/train/result_file.h"

#include "job.h"
#include "run_files.h"

namespace whence {
namespace {

// Checks what a job has left between two starts.
std::string verify_unfinished(const std::string& path, const Trajectory& trajectory) {
  const H5File file = H5File::open_to_read(path);
  const std::string schema = file.attribute("schema");
  for (const Schema& known : {trace_checkpoint_schema, begun_block_schema, counterfactual_blocks_schema,
                              cleansing_blocks_schema, tracin_blocks_schema, path_blocks_schema}) {
    if (schema != known.name) continue;
    const H5File result = open_result(path, known, trajectory);
    if (schema == trace_checkpoint_schema.name)
      TraceCheckpoint::verify(result);
    else if (schema == begun_block_schema.name)
      BegunBlocks::verify(result);
    else
      return fmt::format("{}: whole, {}\n", path, BlockStore::verify(result));
    return path + ": whole\n";
  }
  fail("{}: holds '{}', which is no unfinished result", path, schema);
}

// The results of a run folder, finished or not, and what checks each against the run.
using Check = std::function<std::string(const std::string& path, const Trajectory& run)>;

std::map<std::string, Check> results_in(const std::string& folder) {
  std::map<std::string, Check> results;
  const auto whole = [](const auto& check) {
    return [check](const std::string& path, const Trajectory& run) {
      check(path, run);
      return path + ": whole\n";
    };
  };
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string path = entry.path().string(), name = entry.path().filename().string();
    if (name == "influence.h5") results[path] = whole(read_influence);
    if (name.rfind("groups", 0) == 0 && entry.path().extension() == ".h5") results[path] = whole(read_groups);
    if (name.rfind("counterfactual", 0) == 0 && entry.path().extension() == ".h5")
      results[path] = whole(read_counterfactual);
    if (name == "history.h5") results[path] = whole(verify_history);
    if (name == "cleansing.h5") results[path] = whole(read_cleansing);
    if (name.rfind("tracin", 0) == 0 && entry.path().extension() == ".h5")
      results[path] = whole(verify_tracin);
    if (name.find(".h5.part") != std::string::npos && name.find("lock") == std::string::npos &&
        entry.path().extension() != ".new")
      results[path] = verify_unfinished;
  }
  return results;
}

// A run can be checked without its data, but for whether they are still the same.
Trajectory verified_trajectory(const std::string& folder, const DataPlaces& places, std::string& text) {
  const RunSettings settings = settings_in(folder, places);
  Trajectory trajectory(folder + "/trajectory.h5");
  check_settings(trajectory, settings);
  const std::vector<std::string> missing = missing_files(settings);
  if (missing.empty()) const Run as_a_whole(folder, at::kCPU, places);
  trajectory.verify();
  text += fmt::format("{}: whole, {} steps\n", trajectory.path(), trajectory.steps());
  if (!missing.empty())
    text += fmt::format(
        "{}: not there, so not compared with what the run was trained on; --data (--game for a model) says "
        "where it lies now\n",
        fmt::join(missing, ", "));
  return trajectory;
}

}  // namespace

OptionTable verify_options() {
  OptionTable table("verify");
  table.required("run", "run folder");
  add_place_options(table);
  add_reading_options(table);
  return table;
}

void run_verify(const Options& options, const Communicator& world) {
  world.on_root([&] {
    const std::string folder = options.text("run"), density_path = folder + "/density.h5";
    const bool density = std::filesystem::exists(density_path);
    // Densities need no training: their folder may hold nothing else.
    const bool trained = !density || std::filesystem::exists(folder + "/run.cfg");
    if (options.flag("dry-run")) {
      std::vector<std::string> files;
      if (density) files.push_back(density_path);
      if (trained) files.push_back(needed_file(folder, "trajectory.h5"));
      if (trained)
        for (const auto& result : results_in(folder)) files.push_back(result.first);
      told_dry_run(options, world, files, {});
      return;
    }
    std::string text;
    if (density) {
      density::verify_density(density_path);
      text += density_path + ": whole\n";
    }
    if (trained) {
      const Trajectory trajectory = verified_trajectory(folder, places_of(options), text);
      for (const auto& [path, check] : results_in(folder)) text += check(path, trajectory);
    }
    tell(options, world, text);
  });
}

}  // namespace whence
