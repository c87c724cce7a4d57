// whence validate: holds the estimates of one or several runs against their ground truth and prints how well
// the orders agree.

#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/io/summary.h"
#include "whence/train/trajectory/reader.h"

#include "job.h"
#include "run_files.h"
#include "validated_run.h"

namespace whence {
namespace {

// Files to read, and that no run is there twice.
std::vector<std::string> files_of(const Options& options, const std::vector<std::string>& folders) {
  if (folders.empty()) refuse("the option '--run' is required");
  std::vector<std::string> files = options.texts("scores");
  std::set<std::string> runs;
  for (const std::string& folder : folders) {
    if (!std::filesystem::exists(folder + "/trajectory.h5.part")) needed_file(folder, "trajectory.h5");
    if (!runs.insert(Trajectory(folder + "/trajectory.h5").fingerprint()).second)
      refuse("--run: {} is a run that was already given", folder);
    files.push_back(needed_file(folder, "trajectory.h5"));
    const auto groups = files_like(folder, "groups");
    if (groups.empty() && !options.texts("scores").empty())
      fail("{}: has no groups.h5 to judge --scores by; make it with: whence counterfactual --groups NUMBER",
           folder);
    files.insert(files.end(), groups.begin(), groups.end());
    for (const std::string& name : {std::string("influence.h5"), truth_file(options)})
      if (groups.empty() || std::filesystem::exists(folder + "/" + name))
        files.push_back(needed_file(folder, name));
  }
  return files;
}

}  // namespace

OptionTable validate_options() {
  OptionTable table("validate");
  table.repeated("run", "run folder; several times for several runs, which are averaged over seeds")
      .add<std::int64_t>("critical", 10,
                         "how many largest and smallest values are critical for the Jaccard index")
      .add<std::string>("truth", "", "judge by counterfactual-NAME.h5 (whence counterfactual --name)")
      .flag(
          "merged",
          "also hold one order against this truth: by the true values of every other counterfactual-NAME.h5 "
          "(--targets uncertain:NUMBER, say) where they have one, by the estimate elsewhere")
      .add<std::string>("out", "",
                        "JSON file; default: validation.json in the run folder, or in the parent folder of "
                        "several",
                        Kind::execution);
  table.repeated(
      "scores",
      "CSV (id,METRIC,...) or HDF5 file of another library's scores, to judge by groups.h5 besides; may "
      "be given again");
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
    const auto files = files_of(options, folders);
    const auto path = place_of_result(options, folders, "validation.json");
    if (told_dry_run(options, world, files, {path.string()})) return;
    std::vector<ReadRun> read;
    std::vector<ValidatedRun> runs;
    std::vector<std::vector<LdsValue>> lds;
    std::vector<Settings> settings;
    nlohmann::json sources = nlohmann::json::array();
    std::string cautions;
    for (const std::string& folder : folders) {
      read.push_back(read_run(options, folder, critical));
      runs.push_back(read.back().agreement);
      lds.push_back(read.back().lds);
      cautions += read.back().caution;
      settings.push_back(runs.back().settings);
      sources.push_back(made_of(options, folder));
    }
    const auto groups = group_runs(settings);
    const nlohmann::json json{{"rows", validation_rows(runs, groups)},
                              {"lds", lds_rows(lds, groups)},
                              {"ceilings", ceilings_as_json(read)},
                              {"merged", merged_as_json(read)},
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
    tell(options, world,
         (json["rows"].empty() ? "" : validation_table(json["rows"], json["groups"])) + cautions +
             ceilings_table(json["ceilings"]) + merged_table(json["merged"]) + lds_table(json["lds"]));
  });
  if (world.broadcast(bytes) == 0) return;
  record_cost(result.parent_path().string(),
              {"validate", watch.seconds(), static_cast<std::int64_t>(folders.size()), "runs", bytes}, world);
}

}  // namespace whence
