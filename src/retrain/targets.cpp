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
namespace {

// From the largest value to the smallest.
std::vector<std::int64_t> falling(const at::Tensor& values) {
  const at::Tensor order = std::get<1>(at::sort(values, /*stable=*/true, 0, /*descending=*/true));
  const auto* first = order.data_ptr<std::int64_t>();
  return {first, first + order.numel()};
}

// The first `count` different positions of these orders in turns, of those `among` alone (none: all).
std::vector<std::int64_t> first_of(const std::vector<std::vector<std::int64_t>>& orders, std::int64_t count,
                                   const std::vector<std::int64_t>& among) {
  const std::size_t instances = orders.front().size();
  std::vector<bool> wanted(instances, among.empty()), taken(instances, false);
  for (const std::int64_t position : among) wanted[position] = true;
  std::vector<std::size_t> next(orders.size(), 0);
  std::vector<std::int64_t> chosen;
  for (std::size_t turn = 0, ended = 0; ended < orders.size(); turn = (turn + 1) % orders.size()) {
    const auto& order = orders[turn];
    std::size_t& i = next[turn];
    while (i < instances && !wanted[order[i]]) ++i;
    ended = i < instances ? 0 : ended + 1;
    if (i == instances) continue;
    const std::int64_t position = order[i++];
    if (taken[position]) continue;
    taken[position] = true;
    chosen.push_back(position);
    if (static_cast<std::int64_t>(chosen.size()) == count) return chosen;
  }
  refuse("--targets: {} is more than the {} {}", count, chosen.size(),
         among.empty() ? "training instances" : "instances of --among");
}

}  // namespace

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

std::vector<std::int64_t> choose_targets(const std::string& targets, const Dataset& data, std::uint64_t seed,
                                         const std::string& option) {
  const bool number = !targets.empty() && targets.find_first_not_of("0123456789-") == std::string::npos &&
                      targets.size() < 19;
  if (!number) {
    if (!std::ifstream(targets))
      refuse("--{}: '{}' is neither a number nor a file that can be read", option, targets);
    return positions_in_file(option, targets, data);
  }
  const auto list = integer_list(option, targets);
  const std::int64_t count = list.front();
  if (list.size() != 1 || count > data.size())
    refuse("--{}: {} is more than the {} training instances", option, targets, data.size());
  return random_targets(count, data, seed, {});
}

std::vector<std::int64_t> random_targets(std::int64_t count, const Dataset& data, std::uint64_t seed,
                                         const std::vector<std::int64_t>& among) {
  return first_of({RandomStream(seed, Purpose::targets).permutation(data.size())}, count, among);
}

std::vector<std::int64_t> worth_retraining(WorthBy by, std::int64_t count,
                                           const InfluenceEstimates& estimates, const std::string& metric,
                                           std::int64_t epochs_back, const std::vector<std::int64_t>& among) {
  const auto place = [](const auto& list, const auto& value) {
    return std::find(list.begin(), list.end(), value) - list.begin();
  };
  const auto m = place(estimates.metrics, metric);
  const auto k = place(estimates.epochs_back, epochs_back);
  if (m == static_cast<std::ptrdiff_t>(estimates.metrics.size()) ||
      k == static_cast<std::ptrdiff_t>(estimates.epochs_back.size()))
    refuse("--targets: influence.h5 has no estimates of {} at k = {}", metric, epochs_back);
  if (by != WorthBy::size && !estimates.spread.defined())
    refuse("--targets: influence.h5 has no spread of its estimates; whence influence --paths 3 finds it");
  std::vector<std::vector<std::int64_t>> orders;
  if (by != WorthBy::size) orders.push_back(falling(estimates.spread[0][m][k]));
  if (by != WorthBy::spread) orders.push_back(falling(estimates.influence[0][m][k].abs()));
  return first_of(orders, count, among);
}

std::string targets_fingerprint(const std::vector<std::int64_t>& ids) {
  return fmt::format("{} ids, crc32 {:08x}", ids.size(),
                     crc32_of(ids.data(), ids.size() * sizeof ids.front()));
}

}  // namespace whence
