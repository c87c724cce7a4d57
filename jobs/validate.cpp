// whence validate: holds the estimates of one or several runs against their ground truth and prints how well
// the orders agree.

#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/io/summary.h"
#include "whence/retrain/truth.h"
#include "whence/trace/estimates.h"

#include "job.h"
#include "run_files.h"
#include "validation_table.h"

namespace whence {
namespace {

constexpr const char* parts[] = {"trajectory.h5", "influence.h5", "counterfactual.h5"};

ValidatedRun read_run(const std::string& folder, std::size_t extremes) {
  const Trajectory trajectory(folder + "/trajectory.h5");
  const auto truth = read_counterfactual(needed_file(folder, "counterfactual.h5"), trajectory);
  const auto pairs = paired(read_influence(needed_file(folder, "influence.h5"), trajectory), truth);
  if (pairs.empty())
    fail("{}: influence.h5 and counterfactual.h5 have no metric and epochs-back in common", folder);
  ValidatedRun run{folder, experiment_of(trajectory.attribute("settings")), truth.classifier, {}};
  run.settings["targets"] = std::to_string(truth.target_ids.size());
  for (const Pair& pair : pairs)
    run.rows[{pair.metric, pair.epochs_back, pair.kink_width}] =
        stats::agreement(pair.truth, pair.estimate, extremes);
  return run;
}

// Which files the table is of: a replaced one is known by it, whatever its time says.
nlohmann::json made_of(const std::string& folder) {
  nlohmann::json files{{"run", Trajectory(folder + "/trajectory.h5").fingerprint()}};
  for (const char* name : {"influence.h5", "counterfactual.h5"})
    files[name] = content_fingerprint(H5File::open_to_read(folder + "/" + name));
  return files;
}

// Files to read, and that no run is there twice.
std::vector<std::string> files_of(const std::vector<std::string>& folders) {
  if (folders.empty()) refuse("the option '--run' is required");
  std::vector<std::string> files;
  std::set<std::string> runs;
  for (const std::string& folder : folders) {
    if (!std::filesystem::exists(folder + "/trajectory.h5.part")) needed_file(folder, parts[0]);
    if (!runs.insert(Trajectory(folder + "/trajectory.h5").fingerprint()).second)
      refuse("--run: {} is a run that was already given", folder);
    for (const char* name : parts) files.push_back(needed_file(folder, name));
  }
  return files;
}

}  // namespace

OptionTable validate_options() {
  OptionTable table("validate");
  table.repeated("run", "run folder; several times for several runs, which are averaged over seeds")
      .add<std::int64_t>("critical", 10,
                         "how many largest and smallest values are critical for the Jaccard index")
      .add<std::string>("out", "",
                        "JSON file; default: validation.json in the run folder, or in the parent folder of "
                        "several",
                        Kind::execution);
  add_reading_options(table);
  return table;
}

void run_validate(const Options& options, const Communicator& world) {
  const Stopwatch watch;
  const auto folders = options.texts("run");
  std::filesystem::path result;
  std::int64_t bytes = 0;
  world.on_root([&] {
    const auto critical = static_cast<std::size_t>(options.integer("critical", 1));
    const auto files = files_of(folders);
    const auto path = place_of_result(options, folders, "validation.json");
    if (told_dry_run(options, world, files, {path.string()})) return;
    std::vector<ValidatedRun> runs;
    std::vector<Settings> settings;
    nlohmann::json sources = nlohmann::json::array();
    for (const std::string& folder : folders) {
      runs.push_back(read_run(folder, critical));
      settings.push_back(runs.back().settings);
      sources.push_back(made_of(folder));
    }
    const auto groups = group_runs(settings);
    const nlohmann::json json{{"rows", validation_rows(runs, groups)},
                              {"groups", groups_as_json(groups, folders)},
                              {"runs", folders},
                              {"made_of", sources},
                              {"sign_convention", sign_convention},
                              {"critical", critical},
                              {"whence_version", version()},
                              {"git_sha", git_sha()}};
    write_text(path.string(), json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
    result = path;
    tell(options, world, validation_table(json["rows"], json["groups"]));
  });
  if (world.broadcast(bytes) == 0) return;
  record_cost(result.parent_path().string(),
              {"validate", watch.seconds(), static_cast<std::int64_t>(folders.size()), "runs", bytes}, world);
}

}  // namespace whence
