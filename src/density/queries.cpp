#include "whence/density/queries.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>
#include <unordered_map>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/random.h"

namespace whence::density {
namespace {

using Kind = QueryChoice::Kind;

std::int64_t whole_number(const std::string& text, std::int64_t least) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < least)
    refuse("--queries: '{}' is not a whole number from {} on", text, least);
  return value;
}

std::vector<std::int64_t> positions_of(const std::vector<std::int64_t>& ids, const Dataset& train) {
  std::unordered_map<std::int64_t, std::int64_t> position;
  for (std::int64_t i = 0; i < train.size(); ++i) position[train.ids[i]] = i;
  std::vector<std::int64_t> positions;
  for (const std::int64_t id : ids) {
    const auto found = position.find(id);
    if (found == position.end()) refuse("--queries: no instance has the id {}", id);
    positions.push_back(found->second);
  }
  return positions;
}

std::vector<std::int64_t> some_positions(std::int64_t number, const Dataset& train, std::uint64_t seed) {
  if (number > train.size()) refuse("--queries: {} are more than the {} instances", number, train.size());
  auto order = RandomStream(seed, Purpose::targets).permutation(train.size());
  order.resize(number);
  return order;
}

}  // namespace

QueryChoice parse_queries(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  if (text == "auto") return {};
  if (text == "all") return {Kind::all, 0, {}};
  if (colon == std::string::npos) return {Kind::number, whole_number(text, 1), {}};
  const std::string rest = text.substr(colon + 1);
  if (kind == "held-out") return {Kind::held_out, whole_number(rest, 1), {}};
  if (kind != "ids")
    refuse("--queries: '{}' is not auto, all, a number, held-out:NUMBER or ids:ID,ID,...", text);
  QueryChoice choice{Kind::ids, 0, {}};
  std::set<std::int64_t> seen;
  for (const std::string& id : split_list("queries", rest)) {
    choice.ids.push_back(whole_number(id, 0));
    if (!seen.insert(choice.ids.back()).second) refuse("--queries: the id {} is there twice", id);
  }
  return choice;
}

Queries choose_queries(const QueryChoice& choice, const DataSplit& data, std::uint64_t seed) {
  constexpr std::int64_t few = 1000, some = 128;
  const Dataset& train = data.train;
  if (choice.kind == Kind::held_out)
    return {data.held_out.instances.all(), data.held_out.ids,
            std::vector<std::int64_t>(data.held_out.ids.size(), -1)};

  Queries queries;
  const bool all = choice.kind == Kind::all || (choice.kind == Kind::automatic && train.size() <= few);
  if (all) {
    queries.positions.resize(train.size());
    std::iota(queries.positions.begin(), queries.positions.end(), 0);
  } else if (choice.kind == Kind::ids) {
    queries.positions = positions_of(choice.ids, train);
  } else {
    queries.positions = some_positions(choice.kind == Kind::automatic ? some : choice.number, train, seed);
  }
  for (const std::int64_t position : queries.positions) queries.ids.push_back(train.ids[position]);
  queries.points = train.instances.gather(at::tensor(queries.positions, at::kLong));
  return queries;
}

}  // namespace whence::density
