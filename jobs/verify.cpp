// whence verify RUN: checks every checksum of a run folder.

#include <filesystem>
#include <fmt/format.h>

#include "whence/density/files.h"
#include "whence/retrain/cleansing.h"
#include "whence/retrain/truth.h"
#include "whence/trace/estimates.h"
#include "whence/tracin/file.h"

#include "job.h"

namespace whence {

namespace {

// A run can be checked without its data, but for whether they are still the same.
Trajectory verified_trajectory(const std::string& folder, const DataPlaces& places, std::string& text) {
  const RunSettings settings = settings_in(folder, places);
  Trajectory trajectory(folder + "/trajectory.h5");
  check_settings(trajectory, settings);
  const std::vector<std::string> missing = missing_places(settings.data);
  if (missing.empty()) const Run as_a_whole(folder, at::kCPU, places);
  trajectory.verify();
  text += fmt::format("{}: whole, {} steps\n", trajectory.path(), trajectory.steps());
  if (!missing.empty())
    text += fmt::format(
        "{}: not there, so not compared with what the run was trained on; --data says where the "
        "data lie now\n",
        fmt::join(missing, ", "));
  return trajectory;
}

}  // namespace

OptionTable verify_options() {
  OptionTable table("verify");
  table.required("run", "run folder");
  add_place_options(table);
  return table;
}

void run_verify(const Options& options, const Communicator& world) {
  world.on_root([&] {
    const std::string folder = options.text("run"), density_path = folder + "/density.h5";
    std::string text;
    if (std::filesystem::exists(density_path)) {
      density::verify_density(density_path);
      text += density_path + ": whole\n";
      // Densities need no training: their folder may hold nothing else.
      if (!std::filesystem::exists(folder + "/run.cfg")) return print(world, text);
    }
    const Trajectory trajectory = verified_trajectory(folder, places_of(options), text);
    const std::string fingerprint = trajectory.fingerprint();
    if (const std::string path = folder + "/influence.h5"; std::filesystem::exists(path)) {
      read_influence(path, fingerprint);
      text += path + ": whole\n";
    }
    if (const std::string path = folder + "/counterfactual.h5"; std::filesystem::exists(path)) {
      read_counterfactual(path, fingerprint);
      text += path + ": whole\n";
    }
    if (const std::string path = folder + "/cleansing.h5"; std::filesystem::exists(path)) {
      read_cleansing(path, fingerprint);
      text += path + ": whole\n";
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("tracin", 0) != 0 || entry.path().extension() != ".h5") continue;
      verify_tracin(entry.path().string(), fingerprint);
      text += entry.path().string() + ": whole\n";
    }
    print(world, text);
  });
}

}  // namespace whence
