// Groups that were removed together, in order.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <optional>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/core/settings_text.h"
#include "whence/ranking/ranking.h"
#include "whence/retrain/groups.h"
#include "whence/trace/estimates.h"

#include "wanted.h"

namespace whence {
namespace {

// By instance; undefined where influence.h5 has them not.
at::Tensor estimates_of(const std::optional<InfluenceEstimates>& all, const std::string& metric,
                        std::int64_t epochs_back, std::int64_t width) {
  if (!all) return {};
  const auto m = std::find(all->metrics.begin(), all->metrics.end(), metric);
  const auto k = std::find(all->epochs_back.begin(), all->epochs_back.end(), epochs_back);
  if (m == all->metrics.end() || k == all->epochs_back.end()) return {};
  return all->influence[width][m - all->metrics.begin()][k - all->epochs_back.begin()];
}

// The groups of one fraction: by the sum of estimates beside the truth, or by the truth alone.
Ranking ranking_of(const GroupTruth& groups, std::size_t m, std::size_t k,
                   const std::vector<std::int64_t>& members, const at::Tensor& estimates) {
  Ranking one;
  one.of_groups = true;
  one.ids = members;
  one.value = at::empty({static_cast<std::int64_t>(members.size())}, at::kDouble);
  std::vector<double> true_values, sums;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto g = static_cast<std::size_t>(members[i]);
    true_values.push_back(groups
                              .influence[static_cast<std::int64_t>(m)][static_cast<std::int64_t>(k)]
                                        [static_cast<std::int64_t>(g)]
                              .item<double>());
    if (estimates.defined())
      sums.push_back(
          estimates.index_select(0, at::tensor(groups.groups.members[g], at::kLong)).sum().item<double>());
    one.truth[static_cast<std::int64_t>(i)] = true_values.back();
    one.value[static_cast<std::int64_t>(i)] = estimates.defined() ? sums.back() : true_values.back();
  }
  if (estimates.defined() && groups.weight == 0)
    one.agreement = stats::agreement(true_values, sums, 10);
  else
    one.note = "true influence of removing each group";
  return one;
}

// Groups that are put in one order, and what they are.
struct Together {
  std::string name;
  std::vector<std::int64_t> members;
};

// Those of one size each; all of them where they were listed and hardly two are of one size.
std::vector<Together> sets_of(const GroupTruth& groups) {
  std::map<double, Together> by_size;
  Together all{"listed groups", {}};
  for (std::size_t g = 0; g < groups.groups.fraction.size(); ++g) {
    const double fraction = groups.groups.fraction[g];
    Together& same = by_size[fraction];
    same.name = fmt::format("groups of {:.3g}%", 100 * fraction);
    same.members.push_back(static_cast<std::int64_t>(g));
    all.members.push_back(static_cast<std::int64_t>(g));
  }
  const bool random =
      setting_in(groups.settings, "groups").find_first_not_of("0123456789") == std::string::npos;
  const bool few = std::all_of(by_size.begin(), by_size.end(),
                               [](const auto& same) { return same.second.members.size() < 3; });
  if (!random && few) return {all};
  std::vector<Together> sets;
  for (const auto& same : by_size) sets.push_back(same.second);
  return sets;
}

// Positions of the kink widths that are chosen; without a choice the first, or all.
std::vector<std::int64_t> widths_of(const std::optional<InfluenceEstimates>& estimates,
                                    const RankingChoice& choice) {
  if (!estimates) return {0};
  std::vector<std::int64_t> widths;
  for (std::size_t h = 0; h < estimates->kink_widths.size(); ++h)
    if (wanted(choice.kink_widths, estimates->kink_widths[h])) widths.push_back(static_cast<std::int64_t>(h));
  if (choice.kink_widths.empty() && !choice.all_kink_widths) widths.resize(1);
  return widths;
}

}  // namespace

std::vector<Ranking> group_rankings(RankedRun& run, const std::string& name, const RankingChoice& choice) {
  const GroupTruth groups = read_groups(run.folder + "/" + name, *run.trajectory);
  std::optional<InfluenceEstimates> estimates;
  const std::string path = run.folder + "/influence.h5";
  if (groups.weight == 0 && std::filesystem::exists(path)) estimates = read_influence(path, *run.trajectory);
  std::vector<Ranking> rankings;
  const auto sets = sets_of(groups);
  for (std::size_t m = 0; m < groups.metrics.size(); ++m)
    for (std::size_t k = 0; k < groups.epochs_back.size(); ++k)
      for (const std::int64_t width : widths_of(estimates, choice))
        for (const Together& set : sets) {
          const std::string& metric = groups.metrics[m];
          if (!wanted(choice.metrics, metric) || !wanted(choice.epochs_back, groups.epochs_back[k])) continue;
          const at::Tensor beside = estimates_of(estimates, metric, groups.epochs_back[k], width);
          if (beside.defined())
            check_one_classifier(metric, {"influence.h5", estimates->classifier}, {name, groups.classifier});
          Ranking one = ranking_of(groups, m, k, set.members, beside);
          one.file = name;
          one.of = fmt::format("{} of {}", metric, set.name);
          one.epochs_back = groups.epochs_back[k];
          if (estimates && one.agreement) one.kink_width = estimates->kink_widths[width];
          one.quantity = "influence";
          one.unit = unit_of(metric);
          name_ends(one, metric, run.game.get());
          rankings.push_back(std::move(one));
        }
  return rankings;
}

}  // namespace whence
