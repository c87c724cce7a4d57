#include "whence/retrain/truth.h"

#include <algorithm>
#include <optional>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/metric/metric.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

const ArrayRules counterfactual_arrays{{"influence", {at::kDouble}, {"M", "K", "n"}, Numbers::finite},
                                       {"baseline", {at::kDouble}, {"M", "K", "n"}, Numbers::finite},
                                       {"distance", {at::kDouble}, {"K"}, Numbers::not_negative},
                                       {"epochs_back", {at::kLong}, {"K"}, Numbers::positive},
                                       {"target_id", {at::kLong}, {"n"}},
                                       {"target_position", {at::kLong}, {"n"}, Numbers::any, "N"}};

std::vector<double> reals(const at::Tensor& values) {
  const at::Tensor flat = values.contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

template <typename T>
std::optional<std::int64_t> place(const std::vector<T>& list, const T& value) {
  const auto found = std::find(list.begin(), list.end(), value);
  if (found == list.end()) return std::nullopt;
  return found - list.begin();
}

}  // namespace

void write_counterfactual(const std::string& path, const CounterfactualTruth& truth,
                          const Attributes& attributes) {
  write_artifact(path, counterfactual_schema, attributes, [&](const H5File& file) {
    file.put("influence", truth.influence);
    file.put("baseline", truth.baseline);
    file.put("distance", truth.distance);
    file.put("epochs_back", at::tensor(truth.epochs_back, at::kLong));
    file.put("target_id", at::tensor(truth.target_ids, at::kLong));
    file.put("target_position", at::tensor(truth.target_positions, at::kLong));
  });
}

CounterfactualTruth read_counterfactual(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, counterfactual_schema, trajectory);
  const auto metrics = names_in(file, "metrics");
  check_result(file, counterfactual_arrays, trajectory, {{"M", metrics.size()}});
  const auto ids = file.verified_integers("target_id"), positions = file.verified_integers("target_position"),
             all_ids = trajectory.instance_ids();
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (all_ids[positions[i]] != ids[i])
      fail("{}: target {} is not the run's instance at position {}; the file is damaged", path, ids[i],
           positions[i]);
  return {metrics,
          file.verified_integers("epochs_back"),
          ids,
          positions,
          file.verified("influence"),
          file.verified("baseline"),
          file.verified("distance"),
          attribute_or_none(file, "classifier")};
}

std::vector<Pair> paired(const InfluenceEstimates& estimates, const CounterfactualTruth& truth) {
  const at::Tensor positions = at::tensor(truth.target_positions, at::kLong);
  std::vector<Pair> pairs;
  for (std::size_t m = 0; m < truth.metrics.size(); ++m)
    for (std::size_t k = 0; k < truth.epochs_back.size(); ++k) {
      const auto em = place(estimates.metrics, truth.metrics[m]);
      const auto ek = place(estimates.epochs_back, truth.epochs_back[k]);
      if (!em || !ek) continue;
      if (looks_at_images(truth.metrics[m]) && truth.classifier != estimates.classifier)
        fail(
            "{} is judged by one classifier in influence.h5 and by another in counterfactual.h5 "
            "(--classifier)",
            truth.metrics[m]);
      for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h)
        pairs.push_back({truth.metrics[m], truth.epochs_back[k], estimates.kink_widths[h],
                         reals(truth.influence[m][k]),
                         reals(estimates.influence[h][*em][*ek].index_select(0, positions))});
    }
  return pairs;
}

}  // namespace whence
