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

namespace whence {
namespace {

struct PlantName {
  std::string source;
  std::int64_t count;
};

PlantName parse_plant(const std::string& text) {
  const std::size_t first = text.find(':'), last = text.rfind(':');
  const bool drawn = text.rfind("normal2d", 0) == 0 || text.rfind("six-clusters", 0) == 0;
  if (first == std::string::npos || last <= first + 1 || drawn)
    refuse("--plant: '{}' is not SOURCE:NUMBER with a file as for --data, e.g. idx:IMAGES:100", text);
  const auto number = integer_list("plant", text.substr(last + 1));
  if (number.size() != 1) refuse("--plant: '{}' does not end in one number of instances", text);
  return {text.substr(0, last), number.front()};
}

// Faults of the source are told of --plant, not of --data.
Dataset foreign_instances(const std::string& source, const DataOptions& options) {
  DataOptions all = all_of(source, options);
  all.orientation = options.plant_orientation;
  try {
    return load_data(all).train;
  } catch (const UsageError& error) {
    std::string text = error.what();
    for (const std::string option : {"--data", "--orient"})
      if (text.rfind(option, 0) == 0)
        text = (option == "--data" ? "--plant" : "--plant-orient") + text.substr(option.size());
    refuse("{}", text);
  }
}

}  // namespace

std::int64_t planted_count(const std::string& plant) { return plant.empty() ? 0 : parse_plant(plant).count; }

void plant(DataSplit& data, const DataOptions& options) {
  if (options.plant.empty()) {
    if (options.plant_orientation != Orientation::as_is) refuse("--plant-orient: nothing is planted");
    return;
  }
  const auto [source, count] = parse_plant(options.plant);
  const Dataset foreign = foreign_instances(source, options);
  if (foreign.shape != data.train.shape)
    fail("--plant: {}: its instances have the shape [{}], but the data's have [{}]", source,
         fmt::join(foreign.shape, ", "), fmt::join(data.train.shape, ", "));
  if (count > foreign.size())
    refuse("--plant: {} are asked for, but {} has {}", count, source, foreign.size());
  auto rows = RandomStream(options.seed, Purpose::planted).permutation(foreign.size());
  rows.resize(count);
  Dataset& train = data.train;
  train.instances = train.instances.followed_by(foreign.instances.gather(at::tensor(rows, at::kLong)));
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
  train.instances = train.instances.chosen(kept);
  if (train.labels.defined()) train.labels = at::index_select(train.labels, 0, positions);
  train.ids = std::move(ids);
}

}  // namespace whence
