// whence validate: holds the estimates of one or several runs against their ground truth and prints how well
// the orders agree.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/io/summary.h"
#include "whence/retrain/truth.h"
#include "whence/stats/agreement.h"
#include "whence/trace/estimates.h"

#include "job.h"

namespace whence {
namespace {

using stats::Agreement;
// Rows in the order of metrics, horizons and kink widths.
using RowKey = std::tuple<std::string, std::int64_t, double>;
struct RowRuns {
  std::vector<Agreement> runs;
  std::size_t targets = 0;
};

void add_run(const std::string& folder, std::size_t extremes, std::set<std::string>& runs,
             std::map<RowKey, RowRuns>& rows) {
  const Trajectory trajectory(folder + "/trajectory.h5");
  if (!runs.insert(trajectory.fingerprint()).second)
    refuse("--run: {} is a run that was already given", folder);
  const auto pairs = paired(read_influence(folder + "/influence.h5", trajectory),
                            read_counterfactual(folder + "/counterfactual.h5", trajectory));
  if (pairs.empty())
    fail("{}: influence.h5 and counterfactual.h5 have no metric and epochs-back in common", folder);
  for (const Pair& pair : pairs) {
    RowRuns& row = rows[{pair.metric, pair.epochs_back, pair.kink_width}];
    row.runs.push_back(stats::agreement(pair.truth, pair.estimate, extremes));
    row.targets = pair.truth.size();
  }
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

void put(nlohmann::json& row, const std::string& name, const stats::Summary& summary, bool several) {
  row[name] = number(summary.mean);
  if (!several) return;
  row[name + "_std"] = number(summary.std);
  row[name + "_ttest_p"] = number(summary.p);
}

nlohmann::json as_json(const std::map<RowKey, RowRuns>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [key, row] : rows) {
    const auto summary = stats::summarise(row.runs);
    const bool several = row.runs.size() > 1;
    nlohmann::json entry{{"metric", std::get<0>(key)},
                         {"epochs_back", std::get<1>(key)},
                         {"kink_width", std::get<2>(key)},
                         {"runs", row.runs.size()},
                         {"targets", row.targets},
                         {"kendall_p", number(summary.kendall_p)},
                         {"jaccard_chance", number(summary.jaccard_chance)}};
    put(entry, "kendall_tau", summary.kendall_tau, several);
    put(entry, "jaccard", summary.jaccard, several);
    put(entry, "spearman", summary.spearman, several);
    put(entry, "pearson", summary.pearson, several);
    list.push_back(entry);
  }
  return list;
}

std::string cell(const nlohmann::json& row, const std::string& name) {
  const auto mean = row[name];
  if (mean.is_null()) return "-";
  if (!row.contains(name + "_std") || row[name + "_std"].is_null())
    return fmt::format("{:.3f}", mean.get<double>());
  return fmt::format("{:.3f} +- {:.3f}", mean.get<double>(), row[name + "_std"].get<double>());
}

std::string table(const nlohmann::json& rows) {
  std::string text = fmt::format(
      "{:<10} {:>5} {:>8} {:>5} {:>8}  {:<16} {:>9}  {:<16} {:>7}  {:<16} {:<16}\n", "metric", "k", "kink",
      "runs", "targets", "Kendall's tau", "p", "Jaccard", "chance", "Spearman", "Pearson");
  for (const auto& row : rows) {
    const auto& p = row.contains("kendall_tau_ttest_p") ? row["kendall_tau_ttest_p"] : row["kendall_p"];
    text += fmt::format("{:<10} {:>5} {:>8} {:>5} {:>8}  {:<16} {:>9}  {:<16} {:>7.3f}  {:<16} {:<16}\n",
                        row["metric"].get<std::string>(), row["epochs_back"].get<int>(),
                        fmt::format("{:g}", row["kink_width"].get<double>()), row["runs"].get<int>(),
                        row["targets"].get<int>(), cell(row, "kendall_tau"),
                        p.is_null() ? "-" : fmt::format("{:.1e}", p.get<double>()), cell(row, "jaccard"),
                        row["jaccard_chance"].get<double>(), cell(row, "spearman"), cell(row, "pearson"));
  }
  return text + fmt::format("{}; p: of Kendall's tau, over several runs of a t-test of its mean against 0\n",
                            sign_convention);
}

}  // namespace

OptionTable validate_options() {
  OptionTable table("validate");
  table.repeated("run", "run folder; several times for several runs (seeds)")
      .add<std::int64_t>("critical", 10,
                         "how many largest and smallest values are critical for the Jaccard index")
      .add<std::string>("out", "",
                        "JSON file; default: validation.json in the run folder, or in the parent folder of "
                        "several",
                        Kind::execution);
  return table;
}

void run_validate(const Options& options, const Communicator& world) {
  const Stopwatch watch;
  const auto folders = options.texts("run");
  std::filesystem::path result;
  std::int64_t bytes = 0;
  world.on_root([&] {
    if (folders.empty()) refuse("the option '--run' is required");
    const auto critical = static_cast<std::size_t>(options.integer("critical", 1));
    std::map<RowKey, RowRuns> rows;
    std::set<std::string> runs;
    for (const std::string& folder : folders) add_run(folder, critical, runs, rows);
    const nlohmann::json json{{"rows", as_json(rows)},
                              {"runs", folders},
                              {"sign_convention", sign_convention},
                              {"critical", critical},
                              {"whence_version", version()},
                              {"git_sha", git_sha()}};
    const std::filesystem::path first = std::filesystem::absolute(folders.front() + "/.").parent_path();
    const auto place = folders.size() == 1 ? first : first.parent_path();
    result = options.text("out").empty() ? place / "validation.json"
                                         : std::filesystem::absolute(options.text("out"));
    write_text(result.string(), json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    bytes = static_cast<std::int64_t>(std::filesystem::file_size(result));
    print(world, table(json["rows"]));
  });
  record_cost(result.parent_path().string(),
              {"validate", watch.seconds(), static_cast<std::int64_t>(folders.size()), "runs", bytes}, world);
}

}  // namespace whence
