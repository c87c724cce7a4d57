#include "whence/retrain/selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/random.h"
#include "whence/metric/metric.h"
#include "whence/retrain/isolation_forest.h"

namespace whence {
namespace {

Selection parse_selection(const std::string& text, const Game* game) {
  const std::string name = text == "disc-loss" ? "influence:disc-loss" : text;
  const std::string prefix = "influence:";
  if (name == "isolation-forest") return {name, Selection::Kind::isolation_forest, ""};
  if (name == "random") return {name, Selection::Kind::random, ""};
  if (name.rfind(prefix, 0) == 0 && name.size() > prefix.size()) {
    const std::string metric = name.substr(prefix.size());
    larger_is_better("select", metric, game);
    return {name, Selection::Kind::influence, metric};
  }
  refuse("--select: '{}' is not influence:METRIC, disc-loss, isolation-forest or random", text);
}

at::Tensor random_harm(std::int64_t instances, std::uint64_t seed) {
  at::Tensor harm = at::empty({instances}, at::kDouble);
  const RandomStream stream(seed, Purpose::random_selection);
  for (std::int64_t j = 0; j < instances; ++j) harm.data_ptr<double>()[j] = stream.uniform(j);
  return harm;
}

// [N], by the first kink width.
at::Tensor influence_of(const Selection& selection, const InfluenceEstimates& estimates,
                        std::int64_t epochs_back) {
  const auto metric = std::find(estimates.metrics.begin(), estimates.metrics.end(), selection.metric);
  const auto k = std::find(estimates.epochs_back.begin(), estimates.epochs_back.end(), epochs_back);
  if (metric == estimates.metrics.end() || k == estimates.epochs_back.end())
    fail(
        "influence.h5 has no influence on {} for {} epochs back (whence influence --metric {} --epochs-back "
        "{})",
        selection.metric, epochs_back, selection.metric, epochs_back);
  return estimates.influence[0][metric - estimates.metrics.begin()][k - estimates.epochs_back.begin()];
}

}  // namespace

std::vector<Selection> parse_selections(const std::string& text, const Game* game) {
  std::vector<Selection> selections;
  for (const std::string& part : split_list("select", text)) {
    const Selection selection = parse_selection(part, game);
    for (const Selection& other : selections)
      if (other.name == selection.name) refuse("--select: {} is there twice", selection.name);
    selections.push_back(selection);
  }
  return selections;
}

bool needs_influence(const std::vector<Selection>& selections) {
  return std::any_of(selections.begin(), selections.end(),
                     [](const Selection& s) { return s.kind == Selection::Kind::influence; });
}

void check_estimates(const std::vector<Selection>& selections, const InfluenceEstimates& estimates,
                     std::int64_t epochs_back) {
  for (const Selection& selection : selections)
    if (selection.kind == Selection::Kind::influence) influence_of(selection, estimates, epochs_back);
}

at::Tensor harm_of(const Selection& selection, const HarmSources& sources) {
  if (selection.kind == Selection::Kind::random)
    return random_harm(sources.forest_points.size(), sources.seed);
  if (selection.kind == Selection::Kind::isolation_forest)
    return isolation_scores(sources.forest_points, {100, 256, sources.seed});
  const at::Tensor influence = influence_of(selection, *sources.estimates, sources.epochs_back);
  return (larger_is_better("select", selection.metric, sources.game) ? influence : -influence).contiguous();
}

std::vector<std::int64_t> most_harmful_first(const at::Tensor& harm) {
  const at::Tensor flat = harm.to(at::kDouble).contiguous();
  const double* value = flat.data_ptr<double>();
  for (std::int64_t j = 0; j < flat.numel(); ++j)
    if (!std::isfinite(value[j])) fail("selection: the harm of instance {} is not finite", j);
  std::vector<std::int64_t> order(flat.numel());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [value](std::int64_t a, std::int64_t b) { return value[a] > value[b]; });
  return order;
}

}  // namespace whence
