// Groups that were removed together, in order.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <set>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "whence/ranking/ranking.h"
#include "whence/retrain/groups.h"
#include "whence/trace/estimates.h"

namespace whence {
namespace {

// By instance, of the first kink width; undefined where influence.h5 has them not.
at::Tensor estimates_of(const std::optional<InfluenceEstimates>& all, const std::string& metric,
                        std::int64_t epochs_back) {
  if (!all) return {};
  const auto m = std::find(all->metrics.begin(), all->metrics.end(), metric);
  const auto k = std::find(all->epochs_back.begin(), all->epochs_back.end(), epochs_back);
  if (m == all->metrics.end() || k == all->epochs_back.end()) return {};
  return all->influence[0][m - all->metrics.begin()][k - all->epochs_back.begin()];
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

}  // namespace

std::vector<Ranking> group_rankings(RankedRun& run, const std::string& name, const RankingChoice& choice) {
  const GroupTruth groups = read_groups(run.folder + "/" + name, *run.trajectory);
  std::optional<InfluenceEstimates> estimates;
  const std::string path = run.folder + "/influence.h5";
  if (groups.weight == 0 && std::filesystem::exists(path)) estimates = read_influence(path, *run.trajectory);
  std::vector<Ranking> rankings;
  const std::set<double> fractions(groups.groups.fraction.begin(), groups.groups.fraction.end());
  const auto wanted = [](const auto& list, const auto& value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  for (std::size_t m = 0; m < groups.metrics.size(); ++m)
    for (std::size_t k = 0; k < groups.epochs_back.size(); ++k)
      for (const double fraction : fractions) {
        if (!wanted(choice.metrics, groups.metrics[m]) || !wanted(choice.epochs_back, groups.epochs_back[k]))
          continue;
        std::vector<std::int64_t> members;
        for (std::size_t g = 0; g < groups.groups.fraction.size(); ++g)
          if (groups.groups.fraction[g] == fraction) members.push_back(static_cast<std::int64_t>(g));
        Ranking one = ranking_of(groups, m, k, members,
                                 estimates_of(estimates, groups.metrics[m], groups.epochs_back[k]));
        one.file = name;
        one.of = fmt::format("{} of groups of {:.3g}%", groups.metrics[m], 100 * fraction);
        one.epochs_back = groups.epochs_back[k];
        if (estimates && one.agreement) one.kink_width = estimates->kink_widths.front();
        one.quantity = "influence";
        one.unit = unit_of(groups.metrics[m]);
        name_ends(one, groups.metrics[m], run.game.get());
        rankings.push_back(std::move(one));
      }
  return rankings;
}

}  // namespace whence
