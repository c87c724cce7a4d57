#include "cleansing_table.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <optional>

#include "whence/stats/t_test.h"

#include "run_files.h"

namespace whence {
namespace {

using nlohmann::json;

json number(double value) { return std::isfinite(value) ? json(value) : json(); }

template <typename T>
std::optional<std::int64_t> place(const std::vector<T>& list, const T& value) {
  const auto found = std::find(list.begin(), list.end(), value);
  if (found == list.end()) return std::nullopt;
  return found - list.begin();
}

// All values of the runs' lists, in the order in which they first appear.
template <typename T>
std::vector<T> in_any(const std::vector<Cleansing>& runs, std::vector<T> Cleansing::*list) {
  std::vector<T> all;
  for (const Cleansing& run : runs)
    for (const T& value : run.*list)
      if (!place(all, value)) all.push_back(value);
  return all;
}

// The test metric's baseline and changes, as a row; null where no run has such a removal.
json row_of(const std::vector<Cleansing>& runs, const std::string& metric, const std::string& selection,
            std::int64_t removed) {
  std::vector<double> changes, baselines;
  std::size_t having = 0;
  bool larger = false;
  for (const Cleansing& run : runs) {
    const auto m = place(run.metrics, metric), s = place(run.selections, selection),
               h = place(run.remove, removed);
    if (!m || !s || !h) continue;
    ++having;
    larger = run.larger_is_better[*m];
    const double before = run.baseline[*m].item<double>(), after = run.value[*s][*h][*m].item<double>();
    if (std::isfinite(before)) baselines.push_back(before);
    if (std::isfinite(after - before)) changes.push_back(after - before);
  }
  if (having == 0) return {};
  const auto change = stats::one_sample_t_test(changes, 0), baseline = stats::one_sample_t_test(baselines, 0);
  json row{{"metric", metric},
           {"selection", selection},
           {"removed", removed},
           {"runs", having},
           {"larger_is_better", larger},
           {"baseline", number(baseline.mean)},
           {"change", number(change.mean)}};
  if (having > 1) {
    row["change_std"] = number(change.std);
    row["change_ttest_p"] = number(change.p);
  }
  return row;
}

std::string number_text(const json& value, int digits) {
  return value.is_null() ? "-" : significant(value.get<double>(), digits);
}

std::string cell(const json& row, std::size_t runs) {
  std::string text = number_text(row["change"], 4);
  if (!row["change"].is_null() && row["change"] > 0) text = "+" + text;
  const bool sure =
      row.contains("change_ttest_p") && !row["change_ttest_p"].is_null() && row["change_ttest_p"] < 0.05;
  if (row.contains("change_std") && !row["change_std"].is_null())
    text += fmt::format(" ({})", number_text(row["change_std"], 3));
  text += sure ? "*" : runs > 1 ? " " : "";
  return row["runs"] == runs ? text : fmt::format("{}[{}]", text, row["runs"].get<std::size_t>());
}

// One metric's rows: what was removed by column, how it was selected by line.
std::string block(const std::vector<json>& rows) {
  std::size_t runs = 0;
  for (const json& row : rows) runs = std::max(runs, row["runs"].get<std::size_t>());
  std::vector<std::string> selections;
  std::vector<std::int64_t> removed;
  std::map<std::pair<std::string, std::int64_t>, std::string> cells;
  bool fewer = false;
  for (const json& row : rows) {
    if (!place(selections, row["selection"].get<std::string>())) selections.push_back(row["selection"]);
    if (!place(removed, row["removed"].get<std::int64_t>())) removed.push_back(row["removed"]);
    cells[{row["selection"], row["removed"]}] = cell(row, runs);
    fewer = fewer || row["runs"] != runs;
  }
  std::sort(removed.begin(), removed.end());
  std::string text = fmt::format(
      "{} on test instances: {} without removal, {} run(s); changes{}{}, {} is better\n",
      rows.front()["metric"].get<std::string>(), number_text(rows.front()["baseline"], 6), runs,
      runs > 1 ? " as mean (standard deviation), * p < .05 of a t-test against 0 over 3 or more runs" : "",
      fewer ? ", [n] of n runs only" : "",
      rows.front()["larger_is_better"].get<bool>() ? "larger" : "smaller");
  std::vector<std::string> lines = selections;
  lines.insert(lines.begin(), "removed");
  std::size_t width = 22;
  for (const std::string& line : lines) width = std::max(width, line.size());
  for (std::string& line : lines) line = fmt::format("{:<{}}", line, width);
  for (const std::int64_t n : removed) {
    std::vector<std::string> column{std::to_string(n)};
    for (const std::string& selection : selections)
      column.push_back(cells.count({selection, n}) > 0 ? cells.at({selection, n}) : "-");
    width = 0;
    for (const std::string& one : column) width = std::max(width, one.size());
    for (std::size_t i = 0; i < lines.size(); ++i) lines[i] += fmt::format("  {:>{}}", column[i], width);
  }
  return text + fmt::format("{}\n\n", fmt::join(lines, "\n"));
}

}  // namespace

json cleansing_rows(const std::vector<Cleansing>& runs) {
  json rows = json::array();
  const auto selections = in_any(runs, &Cleansing::selections);
  const auto removed = in_any(runs, &Cleansing::remove);
  for (const std::string& metric : in_any(runs, &Cleansing::metrics))
    for (const std::string& selection : selections)
      for (const std::int64_t n : removed)
        if (const json row = row_of(runs, metric, selection, n); !row.is_null()) rows.push_back(row);
  return rows;
}

std::string cleansing_table(const json& rows) {
  std::vector<std::string> metrics;
  for (const json& row : rows)
    if (!place(metrics, row["metric"].get<std::string>())) metrics.push_back(row["metric"]);
  std::string text;
  for (const std::string& metric : metrics) {
    std::vector<json> own;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(own),
                 [&](const json& row) { return row["metric"] == metric; });
    text += block(own);
  }
  return text;
}

}  // namespace whence
