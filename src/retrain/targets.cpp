#include "whence/retrain/targets.h"

#include <algorithm>
#include <fstream>
#include <unordered_map>

#include <ATen/ops/sort.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/random.h"
#include "whence/data/ids.h"
#include "whence/io/checksum.h"

namespace whence {

std::vector<std::int64_t> positions_in_file(const std::string& option, const std::string& path,
                                            const Dataset& data) {
  std::unordered_map<std::int64_t, std::int64_t> position;
  for (std::int64_t i = 0; i < data.size(); ++i) position[data.ids[i]] = i;
  std::vector<std::int64_t> positions;
  for (const std::int64_t id : ids_in_file(option, path)) {
    if (position.count(id) == 0) refuse("--{}: {}: no training instance has the id {}", option, path, id);
    positions.push_back(position[id]);
  }
  return positions;
}

std::vector<std::int64_t> choose_targets(const std::string& targets, const Dataset& data,
                                         std::uint64_t seed) {
  const bool number = !targets.empty() && targets.find_first_not_of("0123456789-") == std::string::npos &&
                      targets.size() < 19;
  if (!number) {
    if (!std::ifstream(targets))
      refuse("--targets: '{}' is neither a number nor a file that can be read", targets);
    return positions_in_file("targets", targets, data);
  }
  const auto list = integer_list("targets", targets);
  const std::int64_t count = list.front();
  if (list.size() != 1 || count > data.size())
    refuse("--targets: {} is more than the {} training instances", targets, data.size());
  auto order = RandomStream(seed, Purpose::targets).permutation(data.size());
  order.resize(count);
  return order;
}

std::vector<std::int64_t> largest_estimates(std::int64_t count, const InfluenceEstimates& estimates,
                                            const std::string& metric, std::int64_t epochs_back) {
  const auto place = [](const auto& list, const auto& value) {
    return std::find(list.begin(), list.end(), value) - list.begin();
  };
  const auto m = place(estimates.metrics, metric);
  const auto k = place(estimates.epochs_back, epochs_back);
  if (m == static_cast<std::ptrdiff_t>(estimates.metrics.size()) ||
      k == static_cast<std::ptrdiff_t>(estimates.epochs_back.size()))
    refuse("--targets: influence.h5 has no estimates of {} at k = {}", metric, epochs_back);
  const at::Tensor size = estimates.influence[0][m][k].abs();
  if (count > size.size(0))
    refuse("--targets: {} is more than the {} training instances", count, size.size(0));
  const at::Tensor order = std::get<1>(at::sort(size, /*stable=*/true, 0, /*descending=*/true));
  const auto* first = order.data_ptr<std::int64_t>();
  return {first, first + count};
}

std::string targets_fingerprint(const std::vector<std::int64_t>& ids) {
  return fmt::format("{} ids, crc32 {:08x}", ids.size(),
                     crc32_of(ids.data(), ids.size() * sizeof ids.front()));
}

}  // namespace whence
