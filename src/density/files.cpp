#include "whence/density/files.h"

#include <algorithm>

#include <ATen/ops/tensor.h>

#include "whence/core/options.h"

namespace whence::density {
namespace {

constexpr std::int64_t drawable_width = 3;

constexpr auto finite = Numbers::finite;
constexpr bool optional = false;
const ArrayRules density_arrays{
    {"influence_exact", {at::kDouble}, {"E", "Q", "N"}, finite},
    {"influence_closed", {at::kDouble}, {"E", "Q", "N"}, finite},
    {"query_log_likelihood", {at::kDouble}, {"E", "Q"}, finite},
    {"self_influence_exact", {at::kDouble}, {"E", "N"}, finite, "", 0, optional},
    {"self_influence_closed", {at::kDouble}, {"E", "N"}, finite, "", 0, optional},
    {"log_likelihood", {at::kDouble}, {"E", "N"}, finite, "", 0, optional},
    {"influence_corrected", {at::kDouble}, {"Q", "N"}, finite, "", 0, optional},
    {"self_influence_corrected", {at::kDouble}, {"N"}, finite, "", 0, optional},
    {"largest_difference", {at::kDouble}, {"E"}, Numbers::not_negative},
    {"corrected_difference", {at::kDouble}, {"1"}, Numbers::not_negative, "", 0, optional},
    {"distance", {at::kDouble}, {"Q", "N"}, Numbers::not_negative},
    {"instance_id", {at::kLong}, {"N"}},
    {"query_id", {at::kLong}, {"Q"}},
    {"query_position", {at::kLong}, {"Q"}, Numbers::any, "N", -1},
    {"cluster", {at::kLong}, {"N"}, Numbers::any, "", 0, optional},
    {"points", {at::kFloat, at::kDouble}, {"N", "d"}, finite, "", 0, optional},
    {"query_points", {at::kFloat, at::kDouble}, {"Q", "d"}, finite, "", 0, optional}};

double largest(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

void put_if(const H5File& file, const std::string& name, const at::Tensor& values) {
  if (values.defined()) file.put(name, values);
}

}  // namespace

double largest_difference(const DensityInfluence& result, std::int64_t e) {
  const double table = largest(result.closed[e], result.exact[e]);
  if (!result.self_exact.defined()) return table;
  return std::max(table, largest(result.self_closed[e], result.self_exact[e]));
}

double corrected_difference(const DensityInfluence& result, std::int64_t e) {
  const double table = largest(result.corrected, result.exact[e]);
  if (!result.self_exact.defined()) return table;
  return std::max(table, largest(result.self_corrected, result.self_exact[e]));
}

void write_density(const std::string& path, const Dataset& train, const Queries& queries,
                   const EstimatorOptions& options, const DensityInfluence& result, Attributes attributes) {
  attributes["estimators"] = join_list(options.estimators);
  std::vector<double> differences;
  for (std::size_t e = 0; e < options.estimators.size(); ++e)
    differences.push_back(largest_difference(result, static_cast<std::int64_t>(e)));
  const auto gmm = std::find(options.estimators.begin(), options.estimators.end(), "gmm");
  write_artifact(path, density_schema, attributes, [&](const H5File& file) {
    file.put("influence_exact", result.exact);
    file.put("influence_closed", result.closed);
    file.put("query_log_likelihood", result.query_log_likelihood);
    put_if(file, "self_influence_exact", result.self_exact);
    put_if(file, "self_influence_closed", result.self_closed);
    put_if(file, "log_likelihood", result.log_likelihood);
    put_if(file, "influence_corrected", result.corrected);
    put_if(file, "self_influence_corrected", result.self_corrected);
    file.put("largest_difference", at::tensor(differences, at::kDouble));
    if (gmm != options.estimators.end())
      file.put("corrected_difference",
               at::tensor({corrected_difference(result, gmm - options.estimators.begin())}, at::kDouble));
    file.put("distance", result.distance);
    file.put("instance_id", at::tensor(train.ids, at::kLong));
    file.put("query_id", at::tensor(queries.ids, at::kLong));
    file.put("query_position", at::tensor(queries.positions, at::kLong));
    put_if(file, "cluster", train.labels);
    if (train.width() > drawable_width) return;
    file.put("points", train.instances.all());
    file.put("query_points", queries.points);
  });
}

void verify_density(const std::string& path) {
  const H5File file = open_artifact(path, density_schema);
  check_contents(file, density_arrays, check_shapes(file, density_arrays));
}

}  // namespace whence::density
