#include "whence/influence/files.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/metric/metric.h"

namespace whence {
namespace {

at::Tensor as_tensor(const std::vector<std::int64_t>& values) { return at::tensor(values, at::kLong); }

at::Tensor sound(const H5File& file, const std::string& name) {
  const H5Array array = file.array(name);
  array.verify();
  return array.read();
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

std::vector<std::int64_t> integers(const H5File& file, const std::string& name) {
  const at::Tensor values = sound(file, name);
  const auto* begin = values.data_ptr<std::int64_t>();
  return {begin, begin + values.numel()};
}

H5File open_result(const std::string& path, const Schema& schema, const std::string& run_fingerprint) {
  H5File file = open_artifact(path, schema);
  if (file.attribute("run") != run_fingerprint)
    fail("{}: was made from another run than the trajectory beside it", path);
  return file;
}

// "none" where the file was made without it.
std::string attribute_or_none(const H5File& file, const std::string& name) {
  const auto names = file.attributes();
  return std::count(names.begin(), names.end(), name) > 0 ? file.attribute(name) : "none";
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

}  // namespace

Attributes result_attributes(const Run& run, const std::string& settings,
                             const std::vector<std::string>& metrics) {
  return {{"run", run.trajectory().fingerprint()},
          {"run_settings", run.parts().settings.text},
          {"seed", std::to_string(run.parts().settings.seed)},
          {"data", run.parts().data_fingerprint},
          {"settings", settings},
          {"metrics", joined(metrics)}};
}

void write_influence(const std::string& path, const InfluenceEstimates& estimates,
                     const Attributes& attributes) {
  write_artifact(path, influence_schema, attributes, [&](const H5File& file) {
    file.put("influence", estimates.influence);
    file.put("kink_width", at::tensor(estimates.kink_widths, at::kDouble));
    file.put("epochs_back", as_tensor(estimates.epochs_back));
    file.put("value", estimates.value);
    file.put("instance_id", as_tensor(estimates.instance_ids));
  });
}

InfluenceEstimates read_influence(const std::string& path, const std::string& run_fingerprint) {
  const H5File file = open_result(path, influence_schema, run_fingerprint);
  return {split_list("metric", file.attribute("metrics")),
          reals(sound(file, "kink_width")),
          integers(file, "epochs_back"),
          integers(file, "instance_id"),
          sound(file, "influence"),
          sound(file, "value"),
          attribute_or_none(file, "classifier")};
}

void write_counterfactual(const std::string& path, const CounterfactualTruth& truth,
                          const Attributes& attributes) {
  write_artifact(path, counterfactual_schema, attributes, [&](const H5File& file) {
    file.put("influence", truth.influence);
    file.put("baseline", truth.baseline);
    file.put("distance", truth.distance);
    file.put("epochs_back", as_tensor(truth.epochs_back));
    file.put("target_id", as_tensor(truth.target_ids));
    file.put("target_position", as_tensor(truth.target_positions));
  });
}

CounterfactualTruth read_counterfactual(const std::string& path, const std::string& run_fingerprint) {
  const H5File file = open_result(path, counterfactual_schema, run_fingerprint);
  return {split_list("metric", file.attribute("metrics")),
          integers(file, "epochs_back"),
          integers(file, "target_id"),
          integers(file, "target_position"),
          sound(file, "influence"),
          sound(file, "baseline"),
          sound(file, "distance"),
          attribute_or_none(file, "classifier")};
}

std::vector<Pair> paired(const InfluenceEstimates& estimates, const CounterfactualTruth& truth) {
  const at::Tensor positions = as_tensor(truth.target_positions);
  std::vector<Pair> pairs;
  for (std::size_t m = 0; m < truth.metrics.size(); ++m)
    for (std::size_t k = 0; k < truth.epochs_back.size(); ++k) {
      const auto em = place(estimates.metrics, truth.metrics[m]);
      const auto ek = place(estimates.epochs_back, truth.epochs_back[k]);
      if (!em || !ek) continue;
      if (judges_images(truth.metrics[m]) && truth.classifier != estimates.classifier)
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

bool already_there(const std::string& path, const Schema& schema, const Attributes& attributes) {
  if (!std::filesystem::exists(path)) return false;
  const H5File file = open_artifact(path, schema);
  for (const auto& [name, value] : attributes)
    if (attribute_or_none(file, name) != value)
      fail("{}: already there, made with another {} (--overwrite replaces it)", path, name);
  return true;
}

}  // namespace whence
