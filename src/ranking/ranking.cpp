#include "whence/ranking/ranking.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <numeric>

#include "whence/core/error.h"
#include "whence/metric/metric.h"
#include "whence/retrain/truth.h"
#include "whence/trace/estimates.h"

#include "wanted.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// What was retrained, and these estimates beside it.
struct TruthBeside {
  CounterfactualTruth truth;
  std::vector<Pair> pairs;
  bool whole_sample;  // counterfactual.h5, whose targets no estimate has chosen
};

// Of counterfactual.h5 and counterfactual-NAME.h5, but not of partial removals.
std::vector<TruthBeside> truths_beside(RankedRun& run, const InfluenceEstimates& estimates) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(run.folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("counterfactual", 0) == 0 && entry.path().extension() == ".h5") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::vector<TruthBeside> found;
  std::string draws = "1";  // of counterfactual.h5; without it, of the estimates
  for (const std::string& name : names) try {
      CounterfactualTruth truth = read_counterfactual(run.folder + "/" + name, *run.trajectory);
      if (truth.weight != 0) continue;
      if (name == "counterfactual.h5") draws = noise_draws_of(truth);
      std::vector<Pair> pairs = paired(estimates, truth);
      found.push_back({std::move(truth), std::move(pairs), name == "counterfactual.h5"});
    } catch (const Error& error) {
      run.notes.push_back(std::string(error.what()) + "; its true values are left out");
    }
  const auto other = [&](const TruthBeside& beside) { return noise_draws_of(beside.truth) != draws; };
  for (const TruthBeside& beside : found)
    if (other(beside))
      run.notes.push_back(
          fmt::format("{}: its metrics are means over other --noise-draws ({} in place of {}); its true "
                      "values are left out",
                      beside.truth.file, noise_draws_of(beside.truth), draws));
  found.erase(std::remove_if(found.begin(), found.end(), other), found.end());
  return found;
}

// Of each metric and k one width: the one whose order agrees best with the truth, the first where none is
// known.
std::vector<Ranking> best_widths(std::vector<Ranking> all) {
  const auto tau = [](const Ranking& ranking) {
    return ranking.agreement && std::isfinite(ranking.agreement->kendall_tau) ? ranking.agreement->kendall_tau
                                                                              : -2.0;
  };
  std::vector<Ranking> best;
  for (Ranking& one : all) {
    const auto same = std::find_if(best.begin(), best.end(), [&](const Ranking& other) {
      return other.of == one.of && other.epochs_back == one.epochs_back;
    });
    if (same == best.end())
      best.push_back(std::move(one));
    else if (tau(one) > tau(*same))
      *same = std::move(one);
  }
  return best;
}

}  // namespace

std::vector<std::int64_t> order_of(const Ranking& ranking) {
  std::vector<std::int64_t> order(ranking.ids.size());
  std::iota(order.begin(), order.end(), 0);
  const double* value = ranking.value.data_ptr<double>();
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return ranking.first_is_largest ? value[a] > value[b] : value[a] < value[b];
  });
  return order;
}

std::string unit_of(const std::string& metric) {
  for (const char* name : {"all", "log-is", "disc-loss", "gen-loss"})
    if (metric == name) return "nats";
  return "";
}

void name_ends(Ranking& ranking, const std::string& metric, const Game* game) {
  ranking.first = "most raised by removal";
  ranking.last = "most lowered by removal";
  ranking.first_is_largest = true;
  try {
    ranking.first_is_largest = larger_is_better("metric", metric, game);
  } catch (const UsageError&) {
    if (metric != "loss" && metric.rfind("loss:", 0) != 0) return;
    ranking.first_is_largest = false;
  }
  ranking.first = "most harmful";
  ranking.last = "most helpful";
}

RankedRun ranked(const Run& run) {
  const Dataset& data = run.parts().data.train;
  return {run.folder(),    std::make_shared<const Trajectory>(run.folder() + "/trajectory.h5"),
          data.ids,        data.labels,
          data.instances,  data.shape,
          run.parts().game};
}

RankedRun open_ranked(const std::string& folder, const DataPlaces& places) {
  if (!fs::is_directory(folder)) fail("{}: no such run folder", folder);
  if (!fs::exists(folder + "/run.cfg") && fs::exists(folder + "/density.h5")) return {folder};
  const auto missing = missing_files(settings_in(folder, places));
  if (missing.empty()) return ranked(Run(folder, at::kCPU, places));
  RankedRun run{folder, std::make_shared<const Trajectory>(folder + "/trajectory.h5")};
  run.ids = run.trajectory->instance_ids();
  run.notes.push_back(fmt::format("{}: not there, so labels are not known; --data says where it lies now",
                                  fmt::join(missing, ", ")));
  return run;
}

std::vector<Ranking> influence_rankings(RankedRun& run, const RankingChoice& choice) {
  const InfluenceEstimates estimates = read_influence(run.folder + "/influence.h5", *run.trajectory);
  const auto truths = truths_beside(run, estimates);
  std::vector<Ranking> rankings;
  for (std::size_t m = 0; m < estimates.metrics.size(); ++m)
    for (std::size_t k = 0; k < estimates.epochs_back.size(); ++k)
      for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h) {
        const std::string& metric = estimates.metrics[m];
        if (!wanted(choice.metrics, metric) || !wanted(choice.epochs_back, estimates.epochs_back[k]) ||
            !wanted(choice.kink_widths, estimates.kink_widths[h]))
          continue;
        Ranking one;
        one.file = "influence.h5";
        one.of = metric;
        one.epochs_back = estimates.epochs_back[k];
        one.kink_width = estimates.kink_widths[h];
        one.quantity = "influence";
        one.unit = unit_of(metric);
        name_ends(one, metric, run.game.get());
        one.ids = run.ids;
        one.labels = run.labels;
        one.value = estimates.influence[h][m][k].contiguous();
        for (const TruthBeside& beside : truths)
          for (const Pair& pair : beside.pairs) {
            if (pair.metric != metric || pair.epochs_back != one.epochs_back ||
                pair.kink_width != *one.kink_width)
              continue;
            for (std::size_t i = 0; i < pair.truth.size(); ++i)
              one.truth[beside.truth.target_positions[i]] = pair.truth[i];
            if (beside.whole_sample) one.agreement = stats::agreement(pair.truth, pair.estimate, 10);
          }
        rankings.push_back(std::move(one));
      }
  return choice.all_kink_widths || !choice.kink_widths.empty() ? rankings : best_widths(std::move(rankings));
}

std::vector<Ranking> rankings_of(RankedRun& run, const RankingChoice& choice) {
  std::vector<std::string> scores, groups;
  for (const auto& entry : fs::directory_iterator(run.folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("tracin", 0) == 0 && entry.path().extension() == ".h5") scores.push_back(name);
    if (name.rfind("groups", 0) == 0 && entry.path().extension() == ".h5") groups.push_back(name);
  }
  std::sort(scores.begin(), scores.end());
  std::sort(groups.begin(), groups.end());
  std::vector<Ranking> all;
  const auto add = [&](const std::string& name, const auto& read) {
    if (!fs::exists(run.folder + "/" + name)) return;
    try {
      for (Ranking& one : read()) all.push_back(std::move(one));
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      run.notes.push_back(std::string(error.what()) + "; left out");
    }
  };
  if (run.trajectory != nullptr) {
    add("influence.h5", [&] { return influence_rankings(run, choice); });
    if (choice.groups)
      for (const std::string& name : groups) add(name, [&] { return group_rankings(run, name, choice); });
    for (const std::string& name : scores) add(name, [&] { return tracin_rankings(run, name, choice); });
    add("cleansing.h5", [&] { return cleansing_rankings(run, choice); });
  }
  add("density.h5", [&] { return density_rankings(run, choice); });
  // What is asked for by k or width leaves out what has none.
  const auto other = [&](const Ranking& one) {
    return (!choice.kink_widths.empty() && !one.kink_width) ||
           (!choice.epochs_back.empty() && !wanted(choice.epochs_back, one.epochs_back));
  };
  all.erase(std::remove_if(all.begin(), all.end(), other), all.end());
  return all;
}

}  // namespace whence
