#include "planted.h"

#include <numeric>
#include <set>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/random.h"
#include "whence/data/ids.h"
#include "whence/data/sources.h"

namespace whence {
namespace {

struct PlantName {
  std::string file;
  std::int64_t count;
};

PlantName parse_plant(const std::string& text) {
  const std::size_t first = text.find(':'), last = text.rfind(':');
  if (first == std::string::npos || last == first || text.substr(0, first) != "idx" || last == first + 1)
    refuse("--plant: '{}' is not idx:IMAGES:NUMBER", text);
  const auto number = integer_list("plant", text.substr(last + 1));
  if (number.size() != 1) refuse("--plant: '{}' is not idx:IMAGES:NUMBER", text);
  return {text.substr(first + 1, last - first - 1), number.front()};
}

}  // namespace

std::int64_t planted_count(const std::string& plant) { return plant.empty() ? 0 : parse_plant(plant).count; }

void plant(DataSplit& data, const DataOptions& options) {
  if (options.plant.empty()) return;
  const auto [path, count] = parse_plant(options.plant);
  DataOptions all = options;
  all.instances = every_instance;
  all.held_out = 0;
  all.class_filter = every_class;
  const Dataset foreign = load_idx(path, std::nullopt, all).train;
  if (foreign.shape != data.train.shape)
    fail("{}: its images have the shape [{}], but the data's have [{}]", path, fmt::join(foreign.shape, ", "),
         fmt::join(data.train.shape, ", "));
  if (count > foreign.size()) refuse("--plant: {} are asked for, but {} has {}", count, path, foreign.size());
  auto rows = RandomStream(options.seed, Purpose::planted).permutation(foreign.size());
  rows.resize(count);
  Dataset& train = data.train;
  train.instances =
      at::cat({train.instances, at::index_select(foreign.instances, 0, at::tensor(rows, at::kLong))});
  if (train.labels.defined()) train.labels = at::cat({train.labels, at::full({count}, -1, at::kLong)});
  for (const std::int64_t row : rows) train.ids.push_back(first_planted_id + row);
  train.planted = count;
}

void take_out(DataSplit& data, const DataOptions& options) {
  if (options.without.empty()) return;
  const auto listed = ids_in_file("without", options.without);
  std::set<std::int64_t> out(listed.begin(), listed.end());
  Dataset& train = data.train;
  std::vector<std::int64_t> kept, ids;
  for (std::int64_t i = 0; i < train.size(); ++i) {
    if (out.erase(train.ids[i]) == 0) {
      kept.push_back(i);
      ids.push_back(train.ids[i]);
    } else if (train.ids[i] >= first_planted_id) {
      --train.planted;
    }
  }
  if (!out.empty())
    refuse("--without: {}: no training instance has the id {}", options.without, *out.begin());
  if (kept.empty()) refuse("--without: {} leaves no instance to train on", options.without);
  const at::Tensor positions = at::tensor(kept, at::kLong);
  train.instances = at::index_select(train.instances, 0, positions);
  if (train.labels.defined()) train.labels = at::index_select(train.labels, 0, positions);
  train.ids = std::move(ids);
}

}  // namespace whence
