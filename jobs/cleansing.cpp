// whence cleansing: what the cleansings of one or several runs (seeds) did to their test metrics, as one
// table.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "whence/core/error.h"
#include "whence/core/provenance.h"

#include "cleansing_table.h"
#include "job.h"

namespace whence {

OptionTable cleansing_options() {
  OptionTable table("cleansing");
  table.repeated("run", "run folder; several times for several runs (seeds)")
      .add<std::string>(
          "out", "",
          "JSON file; default: cleansing.json in the run folder, or in the parent folder of several",
          Kind::execution);
  return table;
}

void run_cleansing(const Options& options, const Communicator& world) {
  world.on_root([&] {
    const auto folders = options.texts("run");
    if (folders.empty()) refuse("the option '--run' is required");
    std::vector<Cleansing> runs;
    std::set<std::string> fingerprints;
    for (const std::string& folder : folders) {
      const Trajectory trajectory(folder + "/trajectory.h5");
      if (!fingerprints.insert(trajectory.fingerprint()).second)
        refuse("--run: {} is a run that was already given", folder);
      runs.push_back(read_cleansing(folder + "/cleansing.h5", trajectory));
    }
    const nlohmann::json json{{"rows", cleansing_rows(runs)},
                              {"runs", folders},
                              {"change", "test metric after removing the instances minus without removal"},
                              {"whence_version", version()},
                              {"git_sha", git_sha()}};
    const std::filesystem::path first = std::filesystem::absolute(folders.front() + "/.").parent_path();
    const auto place = folders.size() == 1 ? first : first.parent_path();
    const std::string out =
        options.text("out").empty() ? (place / "cleansing.json").string() : options.text("out");
    write_text(out, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    print(world, cleansing_table(json["rows"]));
  });
}

}  // namespace whence
