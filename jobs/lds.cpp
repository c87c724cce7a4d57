#include "lds.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <tuple>

#include "whence/stats/bootstrap.h"
#include "whence/stats/rank_correlation.h"

namespace whence {
namespace {

using nlohmann::json;

constexpr std::size_t fewest_groups = 3;

double sum_over(const std::vector<std::int64_t>& members, const std::vector<double>& estimate) {
  double sum = 0;
  for (const std::int64_t position : members) sum += estimate[position];
  return sum;
}

// Groups that were drawn as this fraction of the training set; of listed ones each size is its own, so all
// are one set.
std::map<double, std::vector<std::size_t>> by_fraction(const Groups& groups) {
  std::map<double, std::vector<std::size_t>> sets;
  for (std::size_t g = 0; g < groups.members.size(); ++g) sets[groups.fraction[g]].push_back(g);
  const bool drawn = std::any_of(sets.begin(), sets.end(),
                                 [](const auto& set) { return set.second.size() >= fewest_groups; });
  if (drawn) return sets;
  std::vector<std::size_t> all;
  for (std::size_t g = 0; g < groups.members.size(); ++g) all.push_back(g);
  return {{0.0, all}};
}

std::string family(const std::string& metric) { return metric.rfind("loss:", 0) == 0 ? "loss:*" : metric; }

}  // namespace

std::vector<LdsValue> lds_values(const std::vector<Scores>& scores, const GroupTruth& truth) {
  std::vector<LdsValue> values;
  for (const Scores& source : scores)
    for (std::size_t m = 0; m < truth.metrics.size(); ++m)
      for (std::size_t k = 0; k < truth.epochs_back.size(); ++k) {
        auto found = source.by_metric.find({truth.metrics[m], truth.epochs_back[k]});
        if (found == source.by_metric.end()) found = source.by_metric.find({truth.metrics[m], 0});
        if (found == source.by_metric.end()) continue;
        for (const auto& [fraction, groups] : by_fraction(truth.groups)) {
          std::vector<double> sums, changes;
          for (const std::size_t g : groups) {
            sums.push_back(sum_over(truth.groups.members[g], found->second));
            changes.push_back(truth.influence[m][k][g].item<double>());
          }
          const double rho = groups.size() < fewest_groups ? NAN : stats::spearman(changes, sums);
          if (std::isfinite(rho))
            values.push_back(
                {source.source, truth.metrics[m], truth.epochs_back[k], fraction, groups.size(), rho});
        }
      }
  return values;
}

json lds_rows(const std::vector<std::vector<LdsValue>>& runs, const std::vector<RunGroup>& groups) {
  using Key = std::tuple<std::string, std::int64_t, double, std::string>;
  struct Cell {
    std::vector<double> values;
    std::set<std::size_t> runs;
    std::set<std::string> metrics;
    std::size_t groups = 0;
  };
  json rows = json::array();
  for (const RunGroup& group : groups) {
    std::map<Key, Cell> cells;
    for (const std::size_t run : group.runs)
      for (const LdsValue& one : runs[run]) {
        Cell& cell = cells[{family(one.metric), one.epochs_back, one.fraction, one.source}];
        cell.values.push_back(one.value);
        cell.runs.insert(run);
        cell.metrics.insert(one.metric);
        cell.groups = one.groups;
      }
    for (const auto& [key, cell] : cells) {
      const auto interval = stats::bootstrap_mean(cell.values);
      const auto& [metric, epochs_back, fraction, source] = key;
      rows.push_back({{"group", group.name},
                      {"source", source},
                      {"metric", metric},
                      {"epochs_back", epochs_back},
                      {"fraction", fraction == 0 ? json() : json(fraction)},
                      {"groups", cell.groups},
                      {"runs", cell.runs.size()},
                      {"metrics", cell.metrics.size()},
                      {"lds", interval.mean},
                      {"low", cell.values.size() > 1 ? json(interval.low) : json()},
                      {"high", cell.values.size() > 1 ? json(interval.high) : json()}});
    }
  }
  return rows;
}

std::string lds_table(const json& rows) {
  if (rows.empty()) return "";
  std::string text =
      fmt::format("\n{:<24} {:<10} {:>5} {:>9} {:>7} {:>5} {:>8} {:>7}  {}\n", "LDS of", "metric", "k",
                  "fraction", "groups", "runs", "metrics", "LDS", "95% interval");
  for (const json& row : rows)
    text += fmt::format(
        "{:<24} {:<10} {:>5} {:>9} {:>7} {:>5} {:>8} {:>7.3f}  {}\n", row["source"].get<std::string>(),
        row["metric"].get<std::string>(), row["epochs_back"].get<int>(),
        row["fraction"].is_null() ? "listed" : fmt::format("{:g}", row["fraction"].get<double>()),
        row["groups"].get<int>(), row["runs"].get<int>(), row["metrics"].get<int>(), row["lds"].get<double>(),
        row["low"].is_null()
            ? "-"
            : fmt::format("{:.3f} to {:.3f}", row["low"].get<double>(), row["high"].get<double>()));
  return text +
         "LDS: Spearman's rho over groups between the sum of estimates and what removing the group did; the "
         "interval is a "
         "bootstrap over runs and metrics\n";
}

}  // namespace whence
