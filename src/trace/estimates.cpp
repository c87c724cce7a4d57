#include "whence/trace/estimates.h"

#include <fmt/format.h>

#include <ATen/ops/tensor.h>

#include "whence/io/parts.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

// An array that not every file has.
ArrayRule beside_them(const char* name, at::ScalarType type, std::vector<std::string> shape,
                      Numbers numbers = Numbers::not_negative) {
  return {name, {type}, std::move(shape), numbers, {}, 0, /*required=*/false};
}

const ArrayRules influence_arrays{{"influence", {at::kDouble}, {"H", "M", "K", "N"}, Numbers::finite},
                                  {"kink_width", {at::kDouble}, {"H"}, Numbers::not_negative},
                                  {"epochs_back", {at::kLong}, {"K"}, Numbers::positive},
                                  {"value", {at::kDouble}, {"M"}, Numbers::finite},
                                  {"instance_id", {at::kLong}, {"N"}},
                                  beside_them("adjoint_norm", at::kDouble, {"H", "M", "L"}),
                                  beside_them("norm_steps_back", at::kLong, {"L"}, Numbers::ascending),
                                  beside_them("spread", at::kDouble, {"H", "M", "K", "N"}),
                                  beside_them("path_tau", at::kDouble, {"H", "M", "K"}, Numbers::any),
                                  beside_them("path_id", at::kLong, {"K", "n"}, Numbers::any)};

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

void write_influence(const std::string& path, const InfluenceEstimates& estimates, const EstimateParts& parts,
                     const Attributes& given, const Communicator& ranks) {
  Attributes attributes = given;
  if (estimates.near_zero.defined()) attributes["near_zero_share"] = shares_in_words(estimates);
  const auto size = [](const auto& list) { return static_cast<std::int64_t>(list.size()); };
  const Shape shape{size(estimates.kink_widths), size(estimates.metrics), size(estimates.epochs_back),
                    size(estimates.instance_ids)};
  const double numbers = static_cast<double>(shape[0] * shape[1] * shape[2] * shape[3]),
               bytes = 8 * ((estimates.path_tau.defined() ? 2 : 1) * numbers + static_cast<double>(shape[3]));
  write_artifact_together(path, influence_schema, attributes, bytes, ranks, [&](const H5File& file) {
    const auto put = [&](const char* name, const at::Tensor& values) {
      put_together(file, name, values, ranks);
    };
    ArrayInParts influence(file, "influence", at::kDouble, shape, ranks);
    const InfluencePart& own = parts.influence;
    ranks.on_every_rank([&] {
      influence.write(own.values.contiguous(), {0, own.queries.begin, 0, own.instances.begin});
    });
    influence.seal();
    put("kink_width", at::tensor(estimates.kink_widths, at::kDouble));
    put("epochs_back", at::tensor(estimates.epochs_back, at::kLong));
    put("value", estimates.value);
    put("instance_id", at::tensor(estimates.instance_ids, at::kLong));
    if (estimates.adjoint_norm.defined()) {
      put("adjoint_norm", estimates.adjoint_norm);
      put("norm_steps_back", at::tensor(estimates.norm_steps_back, at::kLong));
    }
    if (!estimates.path_tau.defined()) return;
    ArrayInParts spread(file, "spread", at::kDouble, shape, ranks);
    ranks.on_every_rank([&] {
      for (const SpreadRow& row : parts.spread)
        spread.write(row.values.view({1, 1, 1, -1}), {row.width, row.metric, row.horizon, 0});
    });
    spread.seal();
    put("path_tau", estimates.path_tau);
    put("path_id", estimates.path_id);
  });
}

InfluenceEstimates read_influence(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, influence_schema, trajectory);
  const auto metrics = names_in(file, "metrics");
  check_result(file, influence_arrays, trajectory, {{"M", metrics.size()}});
  const auto part = [&](const char* name) { return file.has(name) ? file.verified(name) : at::Tensor(); };
  return {
      metrics,
      file.verified_reals("kink_width"),
      file.verified_integers("epochs_back"),
      file.verified_integers("instance_id"),
      file.verified("influence"),
      file.verified("value"),
      attribute_or_none(file, "classifier"),
      {},
      part("adjoint_norm"),
      file.has("norm_steps_back") ? file.verified_integers("norm_steps_back") : std::vector<std::int64_t>{},
      part("spread"),
      part("path_tau"),
      part("path_id")};
}

}  // namespace whence
