#include "train_folder.h"

#include <filesystem>

#include "whence/core/error.h"
#include "whence/io/artifact.h"
#include "whence/train/settings_defaults.h"
#include "whence/train/trajectory/file.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// What an earlier job may have left before it could write run.cfg.
bool only_beginnings(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().rfind(".lock", 0) != 0 && entry.path().extension() != ".new")
      return false;
  return true;
}

}  // namespace

void prepare_folder(const std::string& folder, const RunSettings& settings) {
  const std::string config = folder + "/run.cfg";
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) refuse("--out: cannot create {} ({})", folder, code.message());
  if (!fs::exists(config) && !only_beginnings(folder))
    refuse("--out: {} exists and is not a run folder (it has no run.cfg)", folder);
  if (!fs::exists(config)) return;
  const std::string differs = run_settings_difference(read_text(config), settings.text);
  if (!differs.empty()) refuse("--out: {} holds a run with other settings: {}", folder, differs);
}

RunSettings with_engine_begun(RunSettings settings, const std::string& trajectory,
                              const Communicator& ranks) {
  bool torch = false;
  if (settings.engine == "auto")
    ranks.on_root([&] {
      const std::string part = trajectory + ".part";
      if (!fs::exists(part)) return;
      try {
        torch = open_artifact(part, trajectory_schema).attribute("engine") == "torch";
      } catch (const Error&) {
        torch = false;  // a file that is damaged is complained of where it is gone on with
      }
    });
  if (ranks.broadcast(static_cast<std::int64_t>(torch)) != 0) settings.engine = "torch";
  return settings;
}

}  // namespace whence
