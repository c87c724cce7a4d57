// whence cleanse-table: what the cleansings of one or several runs (seeds) did to their test metrics, as one
// table.

#include <nlohmann/json.hpp>
#include <set>

#include "whence/core/error.h"
#include "whence/core/provenance.h"

#include "cleansing_table.h"
#include "job.h"
#include "run_files.h"
#include "validation_table.h"

namespace whence {
namespace {

struct CleansedRuns {
  std::vector<std::string> files;
  std::vector<Cleansing> runs;
  std::vector<Settings> settings;
  nlohmann::json made_of = nlohmann::json::array();  // which files the table is of
};

CleansedRuns read_runs(const std::vector<std::string>& folders) {
  if (folders.empty()) refuse("the option '--run' is required");
  CleansedRuns all;
  std::set<std::string> fingerprints;
  for (const std::string& folder : folders) {
    if (!std::filesystem::exists(folder + "/trajectory.h5.part")) needed_file(folder, "trajectory.h5");
    const Trajectory trajectory(folder + "/trajectory.h5");
    if (!fingerprints.insert(trajectory.fingerprint()).second)
      refuse("--run: {} is a run that was already given", folder);
    const std::string path = needed_file(folder, "cleansing.h5");
    all.files.insert(all.files.end(), {trajectory.path(), path});
    all.runs.push_back(read_cleansing(path, trajectory));
    all.settings.push_back(experiment_of(trajectory.attribute("settings")));
    const H5File file = open_artifact(path, cleansing_schema);
    all.settings.back()["cleanse --epochs-back"] = setting_in(file.attribute("settings"), "epochs-back");
    all.made_of.push_back({{"run", trajectory.fingerprint()}, {"cleansing.h5", content_fingerprint(file)}});
  }
  return all;
}

}  // namespace

OptionTable cleanse_table_options() {
  OptionTable table("cleanse-table");
  table.repeated("run", "run folder; several times for several runs, which are averaged over seeds")
      .add<std::string>(
          "out", "",
          "JSON file; default: cleansing.json in the run folder, or in the parent folder of several",
          Kind::execution);
  add_reading_options(table);
  return table;
}

void run_cleanse_table(const Options& options, const Communicator& world) {
  world.on_root([&] {
    const auto folders = options.texts("run");
    const CleansedRuns all = read_runs(folders);
    const std::string out = place_of_result(options, folders, "cleansing.json").string();
    if (told_dry_run(options, world, all.files, {out})) return;
    const auto groups = group_runs(all.settings);
    nlohmann::json rows = nlohmann::json::array();
    std::string text;
    for (const RunGroup& group : groups) {
      std::vector<Cleansing> runs;
      for (const std::size_t run : group.runs) runs.push_back(all.runs[run]);
      const nlohmann::json own = cleansing_rows(runs);
      if (groups.size() > 1) text += group.name + ":\n";
      text += cleansing_table(own);
      for (nlohmann::json row : own) {
        row["group"] = group.name;
        rows.push_back(row);
      }
    }
    if (groups.size() > 1) text += "runs that differ in more than their seed are not averaged\n";
    const nlohmann::json json{{"rows", rows},
                              {"groups", groups_as_json(groups, folders)},
                              {"runs", folders},
                              {"made_of", all.made_of},
                              {"change", "test metric after removing the instances minus without removal"},
                              {"whence_version", version()},
                              {"git_sha", git_sha()}};
    write_text(out, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    tell(options, world, text);
  });
}

}  // namespace whence
