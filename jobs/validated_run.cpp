#include "validated_run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/retrain/truth.h"
#include "whence/stats/rank_correlation.h"
#include "whence/trace/estimates.h"

#include "run_files.h"

namespace whence {

std::string truth_file(const Options& options) {
  const std::string name = options.text("truth");
  return name.empty() ? "counterfactual.h5" : "counterfactual-" + name + ".h5";
}

std::vector<std::string> files_like(const std::string& folder, const std::string& front) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(front, 0) == 0 && entry.path().extension() == ".h5")
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

namespace {

std::vector<Ceiling> ceilings_of(const std::string& folder, const CounterfactualTruth& truth,
                                 const Trajectory& trajectory) {
  std::vector<Ceiling> ceilings;
  for (const std::string& path : files_like(folder, "counterfactual")) {
    const CounterfactualTruth other = read_counterfactual(path, trajectory);
    for (const Pair& pair : paired(truth, other)) {
      const double tau = stats::kendall_tau(pair.truth, pair.estimate).value;
      if (std::isfinite(tau))
        ceilings.push_back({folder, pair.metric, path, pair.epochs_back, other.weight, tau});
    }
  }
  return ceilings;
}

// Whether the estimates' metrics are means over as many draws of noise as those of a truth.
std::string caution_of_draws(const std::string& folder, const RetrainedValues& truth) {
  const std::string path = folder + "/influence.h5";
  if (!std::filesystem::exists(path)) return "";
  const std::string draws = noise_draws_in(H5File::open_to_read(path).attribute("settings"));
  if (draws == noise_draws_of(truth)) return "";
  return fmt::format("{}/{}: the truth is a mean over {} --noise-draws, the estimates are of {}\n", folder,
                     truth.file, noise_draws_of(truth), draws);
}

}  // namespace

ReadRun read_run(const Options& options, const std::string& folder, std::size_t extremes) {
  const Trajectory trajectory(folder + "/trajectory.h5");
  ReadRun run{{folder, experiment_of(trajectory.attribute("settings")), "none", {}}, {}, "", {}, {}};
  const auto groups = files_like(folder, "groups");
  if (!groups.empty()) {
    const auto scores = scores_of(folder, options.texts("scores"), trajectory);
    for (const std::string& path : groups) {
      const std::string name = std::filesystem::path(path).stem().string();
      const GroupTruth truth = read_groups(path, trajectory);
      run.caution += caution_of_draws(folder, truth);
      for (LdsValue value : lds_values(scores, truth)) {
        if (name != "groups") value.source += " (" + name + ")";  // groups of other files are not one sample
        run.lds.push_back(value);
      }
    }
  }
  if (!groups.empty() && !std::filesystem::exists(folder + "/" + truth_file(options))) return run;
  const auto truth = read_counterfactual(needed_file(folder, truth_file(options)), trajectory);
  const auto pairs = paired(read_influence(needed_file(folder, "influence.h5"), trajectory), truth);
  if (pairs.empty())
    fail("{}: influence.h5 and {} have no metric and epochs-back in common", folder, truth_file(options));
  run.caution += caution_of_draws(folder, truth);
  run.agreement.classifier = truth.classifier;
  run.agreement.settings["targets"] = std::to_string(truth.target_ids.size());
  for (const Pair& pair : pairs)
    run.agreement.rows[{pair.metric, pair.epochs_back, pair.kink_width}] =
        stats::agreement(pair.truth, pair.estimate, extremes);
  run.ceilings = ceilings_of(folder, truth, trajectory);
  if (options.flag("merged"))
    run.merged = merged_with(folder, folder + "/" + truth_file(options), truth, pairs, trajectory);
  return run;
}

nlohmann::json made_of(const Options& options, const std::string& folder) {
  nlohmann::json files{{"run", Trajectory(folder + "/trajectory.h5").fingerprint()}};
  std::vector<std::string> paths = files_like(folder, "groups");
  if (options.flag("merged"))
    for (const std::string& path : files_like(folder, "counterfactual"))
      if (std::filesystem::path(path).filename() != truth_file(options)) paths.push_back(path);
  for (const std::string& name : {std::string("influence.h5"), truth_file(options)})
    if (std::filesystem::exists(folder + "/" + name)) paths.push_back(folder + "/" + name);
  for (const std::string& path : paths)
    files[std::filesystem::path(path).filename().string()] = content_fingerprint(H5File::open_to_read(path));
  return files;
}

nlohmann::json ceilings_as_json(const std::vector<ReadRun>& runs) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReadRun& run : runs)
    for (const Ceiling& one : run.ceilings)
      list.push_back({{"run", one.folder},
                      {"metric", one.metric},
                      {"epochs_back", one.epochs_back},
                      {"file", one.file},
                      {"weight", one.weight},
                      {"kendall_tau", one.tau}});
  return list;
}

std::string ceilings_table(const nlohmann::json& ceilings) {
  std::string text;
  for (const auto& one : ceilings)
    text += fmt::format(
        "{} at k = {}: truth of weight {:g} against this truth: tau {:.3f}, which no linear estimate "
        "passes by much ({})\n",
        one["metric"].get<std::string>(), one["epochs_back"].get<int>(), one["weight"].get<double>(),
        one["kendall_tau"].get<double>(), one["run"].get<std::string>());
  return text;
}

}  // namespace whence
