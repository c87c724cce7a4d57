#include "validation_table.h"

#include <cmath>
#include <fmt/format.h>
#include <set>

#include "whence/core/provenance.h"
#include "whence/metric/metric.h"

namespace whence {
namespace {

using nlohmann::json;
using Runs = std::vector<const ValidatedRun*>;

json number(double value) { return std::isfinite(value) ? json(value) : json(); }

void put(json& row, const std::string& name, const stats::Summary& summary, bool several) {
  row[name] = number(summary.mean);
  if (!several) return;
  row[name + "_std"] = number(summary.std);
  row[name + "_ttest_p"] = number(summary.p);
}

// Why figures are missing: "all at k = 1: the 40 true influences are equal (runs/seed0)"; and what they have
// not in common.
std::string note_of(const RowKey& key, const Runs& runs) {
  const std::string metric = std::get<0>(key);
  std::map<std::string, std::vector<std::string>> folders;
  std::set<std::string> classifiers;
  for (const ValidatedRun* run : runs) {
    classifiers.insert(run->classifier);
    if (const std::string& reason = run->rows.at(key).reason; !reason.empty())
      folders[reason].push_back(run->folder);
  }
  std::vector<std::string> notes;
  for (const auto& [reason, where] : folders)
    notes.push_back(fmt::format("{} at k = {}: {}{}", metric, std::get<1>(key), reason,
                                runs.size() > 1 ? fmt::format(" ({})", fmt::join(where, ", ")) : ""));
  if (looks_at_images(metric) && classifiers.size() > 1)
    notes.push_back(fmt::format("{}: the {} runs are judged by {} different classifiers", metric, runs.size(),
                                classifiers.size()));
  return fmt::format("{}", fmt::join(notes, "; "));
}

json row_of(const RowKey& key, const Runs& runs) {
  std::vector<stats::Agreement> each;
  for (const ValidatedRun* run : runs) each.push_back(run->rows.at(key));
  const auto summary = stats::summarise(each);
  const bool several = each.size() > 1;
  json row{{"metric", std::get<0>(key)},
           {"epochs_back", std::get<1>(key)},
           {"kink_width", std::get<2>(key)},
           {"runs", each.size()},
           {"runs_with_tau", summary.runs_with_tau},
           {"targets", each.front().targets},
           {"critical", json()},
           {"tied_at_edge", number(summary.tied)},
           {"kendall_p", number(summary.kendall_p)},
           {"jaccard_chance", number(summary.jaccard_chance)}};
  for (const stats::Agreement& one : each)
    if (one.critical > 0) row["critical"] = one.critical;
  put(row, "kendall_tau", summary.kendall_tau, several);
  put(row, "jaccard", summary.jaccard, several);
  put(row, "spearman", summary.spearman, several);
  put(row, "pearson", summary.pearson, several);
  if (const std::string note = note_of(key, runs); !note.empty()) row["note"] = note;
  return row;
}

std::string cell(const json& row, const std::string& name) {
  const json mean = row[name];
  if (mean.is_null()) return "-";
  if (!row.contains(name + "_std") || row[name + "_std"].is_null())
    return fmt::format("{:.3f}", mean.get<double>());
  return fmt::format("{:.3f} +- {:.3f}", mean.get<double>(), row[name + "_std"].get<double>());
}

std::string p_cell(const json& row) {
  const json& p = row.contains("kendall_tau_ttest_p") ? row["kendall_tau_ttest_p"] : row["kendall_p"];
  if (p.is_null()) return "-";
  return p == 0 ? "< 1e-300" : fmt::format("{:.1e}", p.get<double>());
}

std::string line(const json& row) {
  const auto runs = row["runs"].get<int>(), with = row["runs_with_tau"].get<int>();
  const auto critical = row["critical"].is_null() ? "-" : fmt::format("{0}+{0}", row["critical"].get<int>());
  const auto tied =
      row["tied_at_edge"].is_null() ? "-" : fmt::format("{:.4g}", row["tied_at_edge"].get<double>());
  return fmt::format(
      "{:<10} {:>5} {:>8} {:>8} {:>8} {:>9} {:>6}  {:<16} {:>9}  {:<16} {:>7}  {:<16} {:<16}\n",
      row["metric"].get<std::string>(), row["epochs_back"].get<int>(),
      fmt::format("{:g}", row["kink_width"].get<double>()),
      with == runs || runs == 1 ? std::to_string(runs) : fmt::format("{} of {}", with, runs),
      row["targets"].get<int>(), critical, tied, cell(row, "kendall_tau"), p_cell(row), cell(row, "jaccard"),
      cell(row, "jaccard_chance"), cell(row, "spearman"), cell(row, "pearson"));
}

}  // namespace

json validation_rows(const std::vector<ValidatedRun>& runs, const std::vector<RunGroup>& groups) {
  json list = json::array();
  for (const RunGroup& group : groups) {
    std::map<RowKey, Runs> rows;
    for (const std::size_t run : group.runs)
      for (const auto& row : runs[run].rows) rows[row.first].push_back(&runs[run]);
    for (const auto& [key, members] : rows) {
      list.push_back(row_of(key, members));
      list.back()["group"] = group.name;
    }
  }
  return list;
}

json groups_as_json(const std::vector<RunGroup>& groups, const std::vector<std::string>& folders) {
  json list = json::array();
  for (const RunGroup& group : groups) {
    json own{{"name", group.name}, {"settings", group.settings}, {"runs", json::array()}};
    for (const std::size_t run : group.runs) own["runs"].push_back(folders[run]);
    list.push_back(own);
  }
  return list;
}

std::string validation_table(const json& rows, const json& groups) {
  std::string text =
      fmt::format("{:<10} {:>5} {:>8} {:>8} {:>8} {:>9} {:>6}  {:<16} {:>9}  {:<16} {:>7}  {:<16} {:<16}\n",
                  "metric", "k", "kink", "runs", "targets", "critical", "tied", "Kendall's tau", "p",
                  "Jaccard", "chance", "Spearman", "Pearson");
  std::set<std::string> noted;
  std::string notes;
  for (const json& group : groups) {
    if (groups.size() > 1) text += fmt::format("{}:\n", group["name"].get<std::string>());
    for (const json& row : rows) {
      if (row["group"] != group["name"]) continue;
      text += line(row);
      if (row.contains("note") && noted.insert(row["note"]).second)
        notes += row["note"].get<std::string>() + "\n";
    }
  }
  if (groups.size() > 1) notes = "runs that differ in more than their seed are not averaged\n" + notes;
  return text + notes +
         fmt::format(
             "{}; p: of Kendall's tau, over 3 or more runs of a t-test of its mean against 0; tied: targets "
             "that ties leave in or out of the critical sets (the Jaccard index is its mean over all ways to "
             "break them)\n",
             sign_convention);
}

}  // namespace whence
