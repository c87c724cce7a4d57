#include "run_files.h"

#include <cmath>
#include <fmt/format.h>

#include "whence/core/error.h"

namespace fs = std::filesystem;

namespace whence {

const std::vector<RunFile>& run_files() {
  static const std::vector<RunFile> files{
      {"trajectory.h5", "train", "the recorded training"},
      {"history.h5", "train", "losses, metrics and samples while it trained"},
      {"influence.h5", "influence", "estimated influence of every instance"},
      {"counterfactual.h5", "counterfactual", "influence by training without each target"},
      {"groups.h5", "counterfactual", "the same without each group"},
      {"validation.json", "validate", "agreement of the two"},
      {"cleansing.h5", "cleanse", "training without the most harmful instances"},
      {"cleansing.json", "cleanse-table", "what that changed"},
      {"tracin.h5", "tracin", "TracIn scores of every instance"},
      {"density.h5", "density", "influence in densities"}};
  return files;
}

std::string needed_file(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  if (fs::exists(path)) return path;
  if (!fs::is_directory(folder)) fail("{}: no such run folder", folder);
  for (const RunFile& file : run_files()) {
    if (file.name != name) continue;
    if (fs::exists(path + ".part"))
      fail("{}: not finished; start the same whence {} command again to go on", path, file.job);
    fail("{}: no such file (run whence {} {} {})", path, file.job, file.job == "train" ? "--out" : "--run",
         folder);
  }
  fail("{}: no such file", path);
}

fs::path place_of_result(const Options& options, const std::vector<std::string>& folders,
                         const std::string& name) {
  if (!options.text("out").empty()) return fs::absolute(options.text("out"));
  const fs::path first = fs::absolute(folders.front() + "/.").lexically_normal().parent_path();
  return (folders.size() == 1 ? first : first.parent_path()) / name;
}

OptionTable& add_reading_options(OptionTable& table) {
  return table.flag("quiet", "nothing on standard output: only files and the exit status")
      .flag("dry-run", "say which files would be read and written, and stop");
}

void tell(const Options& options, const Communicator& world, const std::string& text) {
  if (!options.flag("quiet")) print(world, text);
}

bool told_dry_run(const Options& options, const Communicator& world, const std::vector<std::string>& read,
                  const std::vector<std::string>& written) {
  if (!options.flag("dry-run")) return false;
  std::string text;
  double bytes = 0;
  for (const std::string& path : read) {
    const auto size = static_cast<double>(fs::file_size(path));
    bytes += size;
    text += fmt::format("read  {} ({})\n", path, human_bytes(size));
  }
  for (const std::string& path : written)
    text += fmt::format("write {}{}\n", path, fs::exists(path) ? " (in place of the one there)" : "");
  tell(options, world, text + fmt::format("{} files to read, {}\n", read.size(), human_bytes(bytes)));
  return true;
}

std::string significant(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  if (value == 0) return "0";
  // As printed with its digits: 9.9996 has one digit before the point less than 10.000.
  const std::string scientific = fmt::format("{:.{}e}", value, digits - 1);
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  if (exponent < -3 || exponent > 5) return scientific;
  return fmt::format("{:.{}f}", value, std::max(0, digits - 1 - exponent));
}

}  // namespace whence
