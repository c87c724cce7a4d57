#include "whence/retrain/groups.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <unordered_map>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/core/text.h"
#include "whence/io/checksum.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

using Positions = std::vector<std::int64_t>;

// Reads lines of a file of groups.
class GroupLines {
 public:
  GroupLines(const std::string& path, const Dataset& data) : path_(path), data_(data) {
    for (std::int64_t i = 0; i < data.size(); ++i) position_[data.ids[i]] = i;
  }

  Positions read(std::string line, std::int64_t number) {
    where_ = fmt::format("--groups: {}, line {}", path_, number);
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream words(line);
    std::string first;
    words >> first;
    Positions members;
    if (first == "planted")
      members = last(data_.planted);
    else if (first.rfind("class:", 0) == 0)
      members = of_class(first.substr(6));
    else
      return listed(line);
    if (std::string more; words >> more) refuse("{}: nothing follows '{}'", where_, visible(first));
    return members;
  }

 private:
  Positions last(std::int64_t count) const {
    Positions members;
    for (std::int64_t i = data_.size() - count; i < data_.size(); ++i) members.push_back(i);
    return members;
  }

  Positions of_class(const std::string& text) const {
    const auto label = whole_number(text);
    if (!label) refuse("{}: '{}' is no label", where_, visible(text));
    if (!data_.labels.defined()) refuse("{}: the data have no labels", where_);
    Positions members;
    const auto* labels = data_.labels.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < data_.size(); ++i)
      if (labels[i] == *label) members.push_back(i);
    return members;
  }

  Positions listed(const std::string& line) const {
    std::istringstream words(line);
    Positions members;
    std::set<std::int64_t> seen;
    for (std::string word; words >> word;) {
      const auto id = whole_number(word);
      if (!id) refuse("{}: '{}' is no id, class:LABEL or planted", where_, visible(word));
      const auto found = position_.find(*id);
      if (found == position_.end()) refuse("{}: no training instance has the id {}", where_, *id);
      if (!seen.insert(*id).second) refuse("{}: {} is there twice", where_, *id);
      members.push_back(found->second);
    }
    return members;
  }

  const std::string& path_;
  const Dataset& data_;
  std::unordered_map<std::int64_t, std::int64_t> position_;
  std::string where_;
};

}  // namespace

Groups random_groups(std::int64_t count, const std::vector<double>& fractions, std::int64_t instances,
                     std::uint64_t seed) {
  Positions sizes;
  for (const double fraction : fractions) {
    sizes.push_back(std::llround(fraction * static_cast<double>(instances)));
    if (!(fraction > 0 && fraction < 1) || sizes.back() < 1 || sizes.back() >= instances)
      refuse("--fraction: {} of {} instances is no part of them", fraction, instances);
  }
  Groups groups;
  for (std::int64_t g = 0; g < count; ++g) {
    const auto order =
        RandomStream(seed, Purpose::groups, static_cast<std::uint32_t>(g)).permutation(instances);
    for (std::size_t f = 0; f < fractions.size(); ++f) {
      groups.members.emplace_back(order.begin(), order.begin() + sizes[f]);
      groups.fraction.push_back(fractions[f]);
    }
  }
  return groups;
}

Groups groups_in_file(const std::string& path, const Dataset& data) {
  std::ifstream in(path);
  if (!in) refuse("--groups: '{}' is neither a number nor a file that can be read", path);
  GroupLines lines(path, data);
  Groups groups;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" ,\t\r") == std::string::npos) continue;
    const Positions members = lines.read(line, number);
    const auto size = static_cast<std::int64_t>(members.size());
    if (size == 0 || size == data.size())
      refuse("--groups: {}, line {}: the group has {} of the {} instances", path, number, size, data.size());
    groups.members.push_back(members);
    groups.fraction.push_back(static_cast<double>(size) / static_cast<double>(data.size()));
  }
  if (groups.members.empty()) refuse("--groups: {} holds no groups", path);
  return groups;
}

std::string groups_fingerprint(const Groups& groups, const std::vector<std::int64_t>& ids) {
  std::uint32_t crc = 0;
  for (const Positions& members : groups.members) {
    Positions named{static_cast<std::int64_t>(members.size())};
    for (const std::int64_t position : members) named.push_back(ids[position]);
    crc = crc32_of(named.data(), named.size() * sizeof named.front(), crc);
  }
  return fmt::format("{} groups, crc32 {:08x}", groups.members.size(), crc);
}

void write_groups(const std::string& path, const GroupTruth& truth, const std::vector<std::int64_t>& ids,
                  const Attributes& attributes) {
  Positions ends, positions, names;
  for (const Positions& members : truth.groups.members) {
    positions.insert(positions.end(), members.begin(), members.end());
    ends.push_back(static_cast<std::int64_t>(positions.size()));
  }
  for (const std::int64_t position : positions) names.push_back(ids[position]);
  write_artifact(path, groups_schema, with_weight(attributes, truth.weight), [&](const H5File& file) {
    put_values(file, truth);
    file.put("fraction", at::tensor(truth.groups.fraction, at::kDouble));
    file.put("member_end", at::tensor(ends, at::kLong));
    file.put("member_position", at::tensor(positions, at::kLong));
    file.put("member_id", at::tensor(names, at::kLong));
  });
}

GroupTruth read_groups(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, groups_schema, trajectory);
  static const ArrayRules rules = [] {
    ArrayRules all = retrained_arrays;
    all.push_back({"fraction", {at::kDouble}, {"n"}, Numbers::positive});
    all.push_back({"member_end", {at::kLong}, {"n"}, Numbers::ascending});
    all.push_back({"member_position", {at::kLong}, {"L"}, Numbers::any, "N"});
    all.push_back({"member_id", {at::kLong}, {"L"}});
    return all;
  }();
  check_result(file, rules, trajectory, {{"M", names_in(file, "metrics").size()}});
  const Positions ends = file.verified_integers("member_end"),
                  positions = file.verified_integers("member_position"),
                  names = file.verified_integers("member_id"), ids = trajectory.instance_ids();
  GroupTruth truth{values_in(file), {{}, file.verified_reals("fraction")}};
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    if (end <= begin || end > static_cast<std::int64_t>(positions.size()))
      fail("{}: its groups do not fit together; the file is damaged", path);
    truth.groups.members.emplace_back(positions.begin() + begin, positions.begin() + end);
    begin = end;
  }
  for (std::size_t i = 0; i < positions.size(); ++i)
    if (ids[positions[i]] != names[i])
      fail("{}: member {} is not the run's instance at position {}; the file is damaged", path, names[i],
           positions[i]);
  return truth;
}

}  // namespace whence
