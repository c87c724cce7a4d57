#include "cleansing_table.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <optional>

#include "whence/core/error.h"
#include "whence/stats/t_test.h"

namespace whence {
namespace {

template <typename T>
std::optional<std::int64_t> place(const std::vector<T>& list, const T& value) {
  const auto found = std::find(list.begin(), list.end(), value);
  if (found == list.end()) return std::nullopt;
  return found - list.begin();
}

// The test metric's baseline and changes of the runs, as a row; null where a run has no such removal.
nlohmann::json row_of(const std::vector<Cleansing>& runs, const std::string& metric,
                      const std::string& selection, std::int64_t removed) {
  std::vector<double> changes, baselines;
  bool larger = false;
  for (const Cleansing& run : runs) {
    const auto m = place(run.metrics, metric), s = place(run.selections, selection),
               h = place(run.remove, removed);
    if (!m || !s || !h) return {};
    baselines.push_back(run.baseline[*m].item<double>());
    changes.push_back(run.value[*s][*h][*m].item<double>() - baselines.back());
    larger = run.larger_is_better[*m];
  }
  const auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
  };
  const auto change = stats::one_sample_t_test(changes, 0), baseline = stats::one_sample_t_test(baselines, 0);
  nlohmann::json row{{"metric", metric},     {"selection", selection},     {"removed", removed},
                     {"runs", runs.size()},  {"larger_is_better", larger}, {"baseline", baseline.mean},
                     {"change", change.mean}};
  if (runs.size() > 1) {
    row["change_std"] = number(change.std);
    row["change_ttest_p"] = number(change.p);
  }
  return row;
}

std::string cell(const nlohmann::json& row) {
  const double change = row["change"].get<double>();
  if (!row.contains("change_std") || row["change_std"].is_null()) return fmt::format("{:+.4f}", change);
  const bool sure = !row["change_ttest_p"].is_null() && row["change_ttest_p"].get<double>() < 0.05;
  return fmt::format("{:+.4f} ({:.4f}){}", change, row["change_std"].get<double>(), sure ? "*" : " ");
}

}  // namespace

nlohmann::json cleansing_rows(const std::vector<Cleansing>& runs) {
  nlohmann::json rows = nlohmann::json::array();
  for (const std::string& metric : runs.front().metrics)
    for (const std::string& selection : runs.front().selections)
      for (const std::int64_t removed : runs.front().remove)
        if (const auto row = row_of(runs, metric, selection, removed); !row.is_null()) rows.push_back(row);
  if (rows.empty())
    refuse("--run: no metric, selection and number of removed instances is common to all runs");
  return rows;
}

std::string cleansing_table(const nlohmann::json& rows) {
  std::string text, metric, selection, header, line, body;
  const auto end_line = [&] {
    if (!line.empty()) body += fmt::format("{:<24}{}\n", selection, line);
    line.clear();
  };
  const auto end_block = [&] {
    end_line();
    if (!body.empty()) text += fmt::format("{:<24}{}\n{}\n", "removed", header, body);
    header.clear();
    body.clear();
  };
  bool first = true;
  for (const auto& row : rows) {
    if (row["metric"] != metric) {
      end_block();
      metric = row["metric"];
      selection = row["selection"];
      first = true;
      text +=
          fmt::format("{} on test instances: {:.5f} without removal, {} run(s); changes{}, {} is better\n",
                      metric, row["baseline"].get<double>(), row["runs"].get<int>(),
                      row["runs"] > 1 ? " as mean (standard deviation), * p < .05 of a t-test against 0" : "",
                      row["larger_is_better"].get<bool>() ? "larger" : "smaller");
    }
    if (row["selection"] != selection) {
      end_line();
      selection = row["selection"];
      first = false;
    }
    const std::string text_of = cell(row);
    const std::size_t width = row.contains("change_std") ? 19 : 10;
    line += fmt::format("{:>{}}", text_of, width);
    if (first) header += fmt::format("{:>{}}", row["removed"].get<std::int64_t>(), width);
  }
  end_block();
  return text;
}

}  // namespace whence
