// whence verify RUN: checks every checksum of a run folder.

#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <map>

#include "whence/density/files.h"
#include "whence/retrain/cleansing.h"
#include "whence/retrain/truth.h"
#include "whence/trace/estimates.h"
#include "whence/tracin/file.h"

#include "job.h"
#include "run_files.h"

namespace whence {
namespace {

// The results of a run folder, and what checks each against the run's fingerprint.
using Check = std::function<void(const std::string& path, const std::string& fingerprint)>;

std::map<std::string, Check> results_in(const std::string& folder) {
  std::map<std::string, Check> results;
  const auto add = [&](const std::string& name, const Check& check) {
    if (const std::string path = folder + "/" + name; std::filesystem::exists(path)) results[path] = check;
  };
  add("influence.h5", read_influence);
  add("counterfactual.h5", read_counterfactual);
  add("cleansing.h5", read_cleansing);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("tracin", 0) == 0 && entry.path().extension() == ".h5") add(name, verify_tracin);
  }
  return results;
}

}  // namespace

OptionTable verify_options() {
  OptionTable table("verify");
  table.required("run", "run folder");
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
      const Run run(folder);
      run.trajectory().verify();
      text += fmt::format("{}: whole, {} steps\n", run.trajectory().path(), run.steps());
      for (const auto& [path, check] : results_in(folder)) {
        check(path, run.trajectory().fingerprint());
        text += path + ": whole\n";
      }
    }
    tell(options, world, text);
  });
}

}  // namespace whence
