#include "whence/trace/estimates.h"

#include <ATen/ops/tensor.h>

#include "whence/train/result_file.h"

namespace whence {
namespace {

const ArrayRules influence_arrays{{"influence", {at::kDouble}, {"H", "M", "K", "N"}, Numbers::finite},
                                  {"kink_width", {at::kDouble}, {"H"}, Numbers::not_negative},
                                  {"epochs_back", {at::kLong}, {"K"}, Numbers::positive},
                                  {"value", {at::kDouble}, {"M"}, Numbers::finite},
                                  {"instance_id", {at::kLong}, {"N"}}};

}  // namespace

void write_influence(const std::string& path, const InfluenceEstimates& estimates,
                     const Attributes& attributes) {
  write_artifact(path, influence_schema, attributes, [&](const H5File& file) {
    file.put("influence", estimates.influence);
    file.put("kink_width", at::tensor(estimates.kink_widths, at::kDouble));
    file.put("epochs_back", at::tensor(estimates.epochs_back, at::kLong));
    file.put("value", estimates.value);
    file.put("instance_id", at::tensor(estimates.instance_ids, at::kLong));
  });
}

InfluenceEstimates read_influence(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, influence_schema, trajectory);
  const auto metrics = names_in(file, "metrics");
  check_result(file, influence_arrays, trajectory, {{"M", metrics.size()}});
  return {metrics,
          file.verified_reals("kink_width"),
          file.verified_integers("epochs_back"),
          file.verified_integers("instance_id"),
          file.verified("influence"),
          file.verified("value"),
          attribute_or_none(file, "classifier")};
}

}  // namespace whence
