#include "whence/retrain/truth.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/core/text.h"
#include "whence/metric/metric.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

// The rules of `more` after those that all files of retraining have.
ArrayRules retrained_and(const ArrayRules& more) {
  ArrayRules rules = retrained_arrays;
  rules.insert(rules.end(), more.begin(), more.end());
  return rules;
}

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

const ArrayRules retrained_arrays{{"influence", {at::kDouble}, {"M", "K", "n"}, Numbers::finite},
                                  {"baseline", {at::kDouble}, {"M", "K", "n"}, Numbers::finite},
                                  {"distance", {at::kDouble}, {"K"}, Numbers::not_negative},
                                  {"epochs_back", {at::kLong}, {"K"}, Numbers::positive}};

Attributes with_weight(Attributes attributes, double weight) {
  if (weight != 0) attributes["weight"] = fmt::format("{}", weight);
  return attributes;
}

void put_values(const H5File& file, const RetrainedValues& values) {
  file.put("influence", values.influence);
  file.put("baseline", values.baseline);
  file.put("distance", values.distance);
  file.put("epochs_back", at::tensor(values.epochs_back, at::kLong));
}

RetrainedValues values_in(const H5File& file) {
  const std::string text = attribute_or_none(file, "weight");
  const double weight = text == "none" ? 0 : real_number(text).value_or(-1);
  if (!(weight >= 0 && weight < 1)) fail("{}: its weight is '{}'; the file is damaged", file.path(), text);
  return {names_in(file, "metrics"),
          file.verified_integers("epochs_back"),
          file.verified("influence"),
          file.verified("baseline"),
          file.verified("distance"),
          weight,
          attribute_or_none(file, "classifier"),
          std::filesystem::path(file.path()).filename().string(),
          attribute_or_none(file, "settings")};
}

std::string noise_draws_in(const std::string& settings) {
  const std::string draws = setting_in(settings, "noise-draws");
  return draws.empty() ? "1" : draws;
}

std::string noise_draws_of(const RetrainedValues& values) { return noise_draws_in(values.settings); }

void write_counterfactual(const std::string& path, const CounterfactualTruth& truth,
                          const Attributes& attributes) {
  write_artifact(path, counterfactual_schema, with_weight(attributes, truth.weight), [&](const H5File& file) {
    put_values(file, truth);
    file.put("target_id", at::tensor(truth.target_ids, at::kLong));
    file.put("target_position", at::tensor(truth.target_positions, at::kLong));
  });
}

CounterfactualTruth read_counterfactual(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, counterfactual_schema, trajectory);
  static const ArrayRules rules = retrained_and(
      {{"target_id", {at::kLong}, {"n"}}, {"target_position", {at::kLong}, {"n"}, Numbers::any, "N"}});
  check_result(file, rules, trajectory, {{"M", names_in(file, "metrics").size()}});
  const auto ids = file.verified_integers("target_id"), positions = file.verified_integers("target_position"),
             all_ids = trajectory.instance_ids();
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (all_ids[positions[i]] != ids[i])
      fail("{}: target {} is not the run's instance at position {}; the file is damaged", path, ids[i],
           positions[i]);
  return {values_in(file), ids, positions};
}

void check_one_classifier(const std::string& metric, const JudgedBy& one, const JudgedBy& other) {
  if (looks_at_images(metric) && one.classifier != other.classifier)
    fail("{} is judged by one classifier in {} and by another in {} (--classifier)", metric, one.file,
         other.file);
}

std::vector<Pair> paired(const InfluenceEstimates& estimates, const CounterfactualTruth& truth) {
  const at::Tensor positions = at::tensor(truth.target_positions, at::kLong);
  const RetrainedValues& values = truth;
  std::vector<Pair> pairs;
  for (std::size_t m = 0; m < values.metrics.size(); ++m)
    for (std::size_t k = 0; k < values.epochs_back.size(); ++k) {
      const auto em = place(estimates.metrics, values.metrics[m]);
      const auto ek = place(estimates.epochs_back, values.epochs_back[k]);
      if (!em || !ek) continue;
      check_one_classifier(values.metrics[m], {"influence.h5", estimates.classifier},
                           {values.file, values.classifier});
      for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h)
        pairs.push_back(
            {values.metrics[m], values.epochs_back[k], estimates.kink_widths[h],
             reals(values.influence[m][k]),
             reals(estimates.influence[h][*em][*ek].index_select(0, positions) * (1 - values.weight))});
    }
  return pairs;
}

std::vector<Pair> paired(const CounterfactualTruth& one, const CounterfactualTruth& other) {
  if (one.target_ids != other.target_ids || one.weight == other.weight ||
      noise_draws_of(one) != noise_draws_of(other))
    return {};
  std::vector<Pair> pairs;
  for (std::size_t m = 0; m < one.metrics.size(); ++m)
    for (std::size_t k = 0; k < one.epochs_back.size(); ++k) {
      const auto om = place(other.metrics, one.metrics[m]);
      const auto ok = place(other.epochs_back, one.epochs_back[k]);
      if (!om || !ok) continue;
      check_one_classifier(one.metrics[m], {one.file, one.classifier}, {other.file, other.classifier});
      pairs.push_back({one.metrics[m], one.epochs_back[k], 0, reals(one.influence[m][k] / (1 - one.weight)),
                       reals(other.influence[*om][*ok] / (1 - other.weight))});
    }
  return pairs;
}

}  // namespace whence
