// Truth where it was retrained and estimates elsewhere, held against a truth of all.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <unordered_map>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/metric/metric.h"
#include "whence/stats/rank_correlation.h"

#include "run_files.h"
#include "validated_run.h"

namespace whence {
namespace {

// What the other truth has for (metric, k), by position; empty where it has neither.
std::unordered_map<std::int64_t, double> values_of(const CounterfactualTruth& other, const Pair& pair) {
  std::unordered_map<std::int64_t, double> values;
  const auto m = std::find(other.metrics.begin(), other.metrics.end(), pair.metric);
  const auto k = std::find(other.epochs_back.begin(), other.epochs_back.end(), pair.epochs_back);
  if (m == other.metrics.end() || k == other.epochs_back.end()) return values;
  const at::Tensor row = other.influence[m - other.metrics.begin()][k - other.epochs_back.begin()];
  for (std::size_t i = 0; i < other.target_positions.size(); ++i)
    values[other.target_positions[i]] = row[static_cast<std::int64_t>(i)].item<double>();
  return values;
}

// Mean of Kendall's tau with the truth of `count` targets chosen at random in place of their estimates.
double random_tau(const Pair& pair, std::size_t count, std::uint64_t seed) {
  constexpr std::uint32_t draws = 100;
  double sum = 0;
  for (std::uint32_t draw = 0; draw < draws; ++draw) {
    const auto order = RandomStream(seed, Purpose::random_truths, draw)
                           .permutation(static_cast<std::int64_t>(pair.truth.size()));
    std::vector<double> merged = pair.estimate;
    for (std::size_t i = 0; i < count; ++i) merged[order[i]] = pair.truth[order[i]];
    sum += stats::kendall_tau(pair.truth, merged).value;
  }
  return sum / draws;
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

}  // namespace

std::vector<Merged> merged_with(const std::string& folder, const std::string& truth_path,
                                const CounterfactualTruth& truth, const std::vector<Pair>& pairs,
                                const Trajectory& trajectory) {
  const std::uint64_t seed = std::stoull(trajectory.attribute("seed"));
  if (truth.weight != 0) fail("--merged: {} is of partial removals (--weight)", truth_path);
  std::vector<Merged> found;
  for (const std::string& path : files_like(folder, "counterfactual")) {
    if (std::filesystem::equivalent(path, truth_path)) continue;
    const CounterfactualTruth other = read_counterfactual(path, trajectory);
    if (other.weight != 0 || noise_draws_of(other) != noise_draws_of(truth)) continue;
    for (const Pair& pair : pairs) {
      const auto values = values_of(other, pair);
      std::vector<double> merged = pair.estimate;
      std::size_t retrained = 0;
      for (std::size_t i = 0; i < merged.size(); ++i)
        if (const auto value = values.find(truth.target_positions[i]); value != values.end()) {
          merged[i] = value->second;
          ++retrained;
        }
      if (retrained == 0 || merged.size() < 2) continue;
      if (looks_at_images(pair.metric) && truth.classifier != other.classifier)
        fail("--merged: {} is judged by one classifier in {} and by another in {}", pair.metric, truth_path,
             path);
      found.push_back({folder, pair.metric, path, pair.epochs_back, pair.kink_width, retrained, merged.size(),
                       stats::kendall_tau(pair.truth, pair.estimate).value,
                       stats::kendall_tau(pair.truth, merged).value, stats::pearson(pair.truth, merged),
                       random_tau(pair, retrained, seed)});
    }
  }
  if (found.empty())
    fail("--merged: {} has no other counterfactual-NAME.h5 with targets of {} (whence counterfactual --name)",
         folder, truth_path);
  return found;
}

nlohmann::json merged_as_json(const std::vector<ReadRun>& runs) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReadRun& run : runs)
    for (const Merged& one : run.merged)
      list.push_back({{"run", one.folder},
                      {"metric", one.metric},
                      {"epochs_back", one.epochs_back},
                      {"kink_width", one.kink_width},
                      {"file", one.file},
                      {"retrained", one.retrained},
                      {"targets", one.targets},
                      {"estimate_kendall_tau", number(one.estimate_tau)},
                      {"kendall_tau", number(one.tau)},
                      {"pearson", number(one.pearson)},
                      {"random_kendall_tau", number(one.random_tau)}});
  return list;
}

std::string merged_table(const nlohmann::json& merged) {
  const auto cell = [](const nlohmann::json& value) {
    return value.is_null() ? std::string("-") : fmt::format("{:.3f}", value.get<double>());
  };
  std::string text;
  for (const auto& one : merged)
    text += fmt::format(
        "{} at k = {}, kink width {:g}, merged with {} ({} of {} targets true): tau {}, Pearson {}; with as "
        "many at random tau {}, estimates alone {} ({})\n",
        one["metric"].get<std::string>(), one["epochs_back"].get<int>(), one["kink_width"].get<double>(),
        std::filesystem::path(one["file"].get<std::string>()).filename().string(),
        one["retrained"].get<std::size_t>(), one["targets"].get<std::size_t>(), cell(one["kendall_tau"]),
        cell(one["pearson"]), cell(one["random_kendall_tau"]), cell(one["estimate_kendall_tau"]),
        one["run"].get<std::string>());
  return text;
}

}  // namespace whence
