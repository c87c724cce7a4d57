#include "folder_in_words.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/io/hdf5.h"

#include "run_files.h"
#include "run_groups.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

bool has_attribute(const H5File& file, const std::string& name) {
  const auto names = file.attributes();
  return std::count(names.begin(), names.end(), name) > 0;
}

// "metrics all,fid; epochs back 1, 5; 200 targets; not made from this run".
std::string contents(const H5File& file, const std::string& fingerprint) {
  std::vector<std::string> parts;
  for (const char* name : {"metrics", "selections", "estimators", "queries"})
    if (has_attribute(file, name)) parts.push_back(fmt::format("{} {}", name, file.attribute(name)));
  if (file.has("epochs_back")) {
    const at::Tensor epochs = file.array("epochs_back").read();
    std::vector<std::int64_t> list(epochs.data_ptr<std::int64_t>(),
                                   epochs.data_ptr<std::int64_t>() + epochs.numel());
    parts.push_back(fmt::format("epochs back {}", fmt::join(list, ", ")));
  }
  for (const auto& [array, word] : {std::pair{"target_id", "targets"}, std::pair{"instance_id", "instances"}})
    if (file.has(array)) parts.push_back(fmt::format("{} {}", file.array(array).shape()[0], word));
  if (!fingerprint.empty() && has_attribute(file, "run") && file.attribute("run") != fingerprint)
    parts.emplace_back("made from another run than the trajectory beside it");
  return fmt::format("{}", fmt::join(parts, "; "));
}

// Its name, size and what it is of.
std::string result_line(const fs::path& path, const std::string& words, const std::string& fingerprint) {
  std::string about;
  if (path.extension() == ".h5") try {
      about = contents(H5File::open_to_read(path.string()), fingerprint);
    } catch (const std::exception& error) {
      about = "cannot be read (" + one_line(error) + ")";
    }
  return fmt::format("  {:<18} {:>9}  {}{}{}\n", path.filename().string(),
                     human_bytes(static_cast<double>(fs::file_size(path))), words, about.empty() ? "" : ": ",
                     about);
}

// TracIn's files may have longer names.
std::vector<fs::path> files_called(const std::string& folder, const RunFile& file) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == file.name ||
        (file.job == "tracin" && name.rfind("tracin-", 0) == 0 && entry.path().extension() == ".h5"))
      found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string steps_committed(const H5File& file) {
  return fmt::format("{} of {} steps", file.array("committed").read()[0].item<std::int64_t>(),
                     file.array("batch").shape()[0]);
}

std::string training(const std::string& folder, std::string& fingerprint) {
  const std::string path = folder + "/trajectory.h5", part = path + ".part";
  const bool finished = fs::exists(path);
  if (!finished && !fs::exists(part)) return fmt::format("{}: no training run\n", folder);
  try {
    const H5File file = H5File::open_to_read(finished ? path : part);
    if (finished) fingerprint = Trajectory(path).fingerprint();
    const std::string settings = file.attribute("settings");
    std::string text =
        fmt::format("{}: a run of {} on {}, {}, {}\n  seed: {}\n  data: {}\n  settings:\n", folder,
                    setting_in(settings, "game"), setting_in(settings, "data"),
                    finished ? "finished" : "not finished (the same whence train command goes on)",
                    steps_committed(file), file.attribute("seed"), file.attribute("data"));
    for (std::size_t begin = 0, end = 0; begin < settings.size(); begin = end + 1) {
      end = std::min(settings.find('\n', begin), settings.size());
      text += "    " + settings.substr(begin, end - begin) + "\n";
    }
    return text;
  } catch (const std::exception& error) {
    return fmt::format("{}: a run that cannot be read ({})\n", folder, one_line(error));
  }
}

}  // namespace

std::string folder_in_words(const std::string& folder) {
  std::string fingerprint, results;
  const std::string begun = training(folder, fingerprint);
  for (const RunFile& file : run_files()) {
    const auto found = files_called(folder, file);
    for (const fs::path& path : found) results += result_line(path, file.words, fingerprint);
    if (file.job != "train" && fs::exists(folder + "/" + file.name + ".part"))
      results += fmt::format("  {:<18} {:>9}  not finished (the same whence {} command goes on)\n", file.name,
                             "", file.job);
    else if (found.empty() && !fingerprint.empty() && file.name != "history.h5")  // imported runs have none
      results += fmt::format("  {:<18} {:>9}  not there (whence {})\n", file.name, "-", file.job);
  }
  std::vector<std::string> runs;
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::exists(entry.path() / "run.cfg")) runs.push_back(entry.path().filename().string());
  std::sort(runs.begin(), runs.end());
  if (!runs.empty()) results += fmt::format("  runs in it: {}\n", fmt::join(runs, ", "));
  if (results.empty() && !fs::exists(folder + "/run.cfg") && !fs::exists(folder + "/trajectory.h5.part"))
    fail("{}: holds nothing that a job of whence has made", folder);
  return begun + results;
}

}  // namespace whence
