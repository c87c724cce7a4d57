#include "whence/trace/estimates.h"

#include <fmt/format.h>

#include <ATen/ops/tensor.h>

#include "whence/train/result_file.h"

namespace whence {
namespace {

const ArrayRules influence_arrays{{"influence", {at::kDouble}, {"H", "M", "K", "N"}, Numbers::finite},
                                  {"kink_width", {at::kDouble}, {"H"}, Numbers::not_negative},
                                  {"epochs_back", {at::kLong}, {"K"}, Numbers::positive},
                                  {"value", {at::kDouble}, {"M"}, Numbers::finite},
                                  {"instance_id", {at::kLong}, {"N"}}};

// "all 0.021, fid 0 (kink width 0.001); ..."
std::string shares_in_words(const InfluenceEstimates& estimates) {
  std::string text;
  for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h) {
    for (std::size_t m = 0; m < estimates.metrics.size(); ++m)
      text += fmt::format(
          "{}{} {:.2g}",
          m > 0   ? ", "
          : h > 0 ? "; "
                  : "",
          estimates.metrics[m],
          estimates.near_zero[static_cast<std::int64_t>(h)][static_cast<std::int64_t>(m)].item<double>());
    text += fmt::format(" (kink width {})", estimates.kink_widths[h]);
  }
  return text;
}

}  // namespace

void write_influence(const std::string& path, const InfluenceEstimates& estimates, const Attributes& given) {
  Attributes attributes = given;
  if (estimates.near_zero.defined()) attributes["near_zero_share"] = shares_in_words(estimates);
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
