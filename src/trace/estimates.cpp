#include "whence/trace/estimates.h"

#include <ATen/ops/tensor.h>

#include "whence/core/options.h"
#include "whence/train/result_file.h"

namespace whence {

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

InfluenceEstimates read_influence(const std::string& path, const std::string& run_fingerprint) {
  const H5File file = open_result(path, influence_schema, run_fingerprint);
  return {split_list("metric", file.attribute("metrics")),
          file.verified_reals("kink_width"),
          file.verified_integers("epochs_back"),
          file.verified_integers("instance_id"),
          file.verified("influence"),
          file.verified("value"),
          attribute_or_none(file, "classifier")};
}

}  // namespace whence
