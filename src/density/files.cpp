#include "whence/density/files.h"

#include <algorithm>
#include <optional>

#include <ATen/ops/tensor.h>

#include "whence/core/options.h"
#include "whence/io/parts.h"

namespace whence::density {
namespace {

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

// The tables, as the ranks fill them in.
class TableFile {
 public:
  TableFile(const H5File& file, std::int64_t e, std::int64_t q, std::int64_t n, bool mixture,
            const Communicator& ranks)
      : exact_(file, "influence_exact", at::kDouble, {e, q, n}, ranks),
        closed_(file, "influence_closed", at::kDouble, {e, q, n}, ranks),
        distance_(file, "distance", at::kDouble, {q, n}, ranks) {
    if (mixture) corrected_.emplace(file, "influence_corrected", at::kDouble, Shape{q, n}, ranks);
  }
  void write(Range queries, const DensityTables& tables) {
    exact_.write(tables.exact, {0, queries.begin, 0});
    closed_.write(tables.closed, {0, queries.begin, 0});
    distance_.write(tables.distance, {queries.begin, 0});
    if (corrected_) corrected_->write(tables.corrected, {queries.begin, 0});
  }
  void seal() {
    for (ArrayInParts* array : {&exact_, &closed_, &distance_}) array->seal();
    if (corrected_) corrected_->seal();
  }

 private:
  ArrayInParts exact_, closed_, distance_;
  std::optional<ArrayInParts> corrected_;
};

}  // namespace

DensityInfluence write_density(const std::string& path, const Dataset& train, const Queries& queries,
                               const EstimatorOptions& options, Attributes attributes,
                               const Communicator& ranks,
                               const std::function<void(std::int64_t, std::int64_t)>& progress) {
  attributes["estimators"] = join_list(options.estimators);
  const bool mixture =
      std::find(options.estimators.begin(), options.estimators.end(), "gmm") != options.estimators.end();
  DensityInfluence result;
  const double bytes = 8.0 * static_cast<double>(queries.points.size(0)) * static_cast<double>(train.size()) *
                       (2.0 * static_cast<double>(options.estimators.size()) + (mixture ? 2.0 : 1.0));
  write_artifact_together(path, density_schema, attributes, bytes, ranks, [&](const H5File& file) {
    TableFile tables(file, static_cast<std::int64_t>(options.estimators.size()), queries.points.size(0),
                     train.size(), mixture, ranks);
    result = density_influence(train, queries, options, ranks, progress,
                               [&](Range rows, const DensityTables& some) { tables.write(rows, some); });
    tables.seal();
    const auto put = [&](const char* name, const at::Tensor& values) {
      if (values.defined()) put_together(file, name, values, ranks);
    };
    put("query_log_likelihood", result.query_log_likelihood);
    put("self_influence_exact", result.self_exact);
    put("self_influence_closed", result.self_closed);
    put("log_likelihood", result.log_likelihood);
    put("self_influence_corrected", result.self_corrected);
    put("largest_difference", result.largest_difference);
    if (mixture) put("corrected_difference", at::tensor({result.corrected_difference}, at::kDouble));
    put("instance_id", at::tensor(train.ids, at::kLong));
    put("query_id", at::tensor(queries.ids, at::kLong));
    put("query_position", at::tensor(queries.positions, at::kLong));
    put("cluster", train.labels);
    if (train.width() > drawable_width) return;
    put("points", train.instances.all());
    put("query_points", queries.points);
  });
  return result;
}

void verify_density(const std::string& path) {
  const H5File file = open_artifact(path, density_schema);
  check_contents(file, density_arrays, check_shapes(file, density_arrays));
}

}  // namespace whence::density
