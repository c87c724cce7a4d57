#include "removals.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "whence/core/error.h"
#include "whence/core/text.h"
#include "whence/retrain/targets.h"

#include "run_files.h"

namespace whence {
namespace {

// "uncertain:200": what by, and how many; nothing where the text is no such thing.
std::optional<std::pair<WorthBy, std::int64_t>> worth_in(const std::string& text) {
  static const std::vector<std::pair<std::string, WorthBy>> forms{
      {"largest:", WorthBy::size}, {"uncertain:", WorthBy::spread}, {"both:", WorthBy::both}};
  for (const auto& [front, by] : forms) {
    if (text.rfind(front, 0) != 0) continue;
    const auto number = integer_list("targets", text.substr(front.size()));
    if (number.size() != 1) refuse("--targets: '{}' is not {}NUMBER", visible(text), front);
    return std::pair{by, number.front()};
  }
  return std::nullopt;
}

std::vector<std::int64_t> targets_of(const Options& options, const Run& run, const RetrainedValues& values) {
  const std::string text = options.text("targets"), limits = options.text("among");
  const Dataset& train = run.parts().data.train;
  const std::uint64_t seed = run.parts().settings.seed;
  std::vector<std::int64_t> among;
  if (limits != "none") among = choose_targets(limits, train, seed, "among");
  if (const auto worth = worth_in(text)) {
    const std::string path = needed_file(run.folder(), "influence.h5");
    const std::int64_t farthest = *std::max_element(values.epochs_back.begin(), values.epochs_back.end());
    return worth_retraining(worth->first, worth->second, read_influence(path, run.trajectory()),
                            values.metrics.front(), farthest, among);
  }
  if (among.empty()) return choose_targets(text, train, seed);
  const auto count = whole_number(text);
  if (!count || *count < 1)
    refuse("--among: says which of many targets; --targets {} is a list", visible(text));
  return random_targets(*count, train, seed, among);
}

Groups groups_of(const Options& options, const Run& run) {
  const std::string text = options.text("groups");
  if (options.text("among") != "none") refuse("--among: --groups are not chosen among targets");
  const Dataset& train = run.parts().data.train;
  const auto count = whole_number(text);
  if (!count) return groups_in_file(text, train);
  if (*count < 1) refuse("--groups is {}, but must be at least 1", *count);
  return random_groups(*count, real_list("fraction", options.text("fraction")), train.size(),
                       run.parts().settings.seed);
}

std::string file_of(const Options& options, bool grouped, double weight) {
  std::string name = options.text("name");
  if (name.find_first_of("/\\.: ") != std::string::npos)
    refuse("--name: '{}' is to be a part of a file's name", visible(name));
  if (name.empty() && weight != 0) name = fmt::format("weight{}", weight);
  std::replace(name.begin(), name.end(), '.', '_');
  return fmt::format("{}{}{}.h5", grouped ? "groups" : "counterfactual", name.empty() ? "" : "-", name);
}

}  // namespace

OptionTable& add_removal_options(OptionTable& table) {
  return table
      .add<std::string>(
          "targets", "200",
          "how many instances, chosen at random; a file of ids, one a line; or those of influence.h5 (of the "
          "first metric, at the largest k) with the largest estimates, largest:NUMBER, with the largest "
          "spread "
          "(influence --paths), uncertain:NUMBER, or half and half, both:NUMBER")
      .add<std::string>(
          "among", "none",
          "choose targets among these alone: a number of random ones, as --targets has them, or "
          "a file of ids")
      .add<std::string>(
          "groups", "none",
          "remove groups in place of single targets: how many random ones of each --fraction, or a "
          "file with a group a line (ids, class:LABEL or planted)")
      .add<std::string>("fraction", "0.01,0.05,0.1",
                        "how much of the training set a random group is, several with commas")
      .add<double>("weight", 0, "w_j that removed instances keep, from 0 (gone) to below 1")
      .add<std::string>("name", "",
                        "writes counterfactual-NAME.h5 (or groups-NAME.h5); a --weight has one of its own",
                        Kind::execution);
}

Removals choose_removals(const Options& options, const Run& run, const RetrainedValues& values) {
  Removals removals;
  removals.weight = options.real("weight", 0);
  if (removals.weight >= 1) refuse("--weight is {}, but must be below 1", removals.weight);
  removals.grouped = options.text("groups") != "none";
  const std::vector<std::int64_t>& ids = run.parts().data.train.ids;
  if (removals.grouped) {
    removals.groups = groups_of(options, run);
    removals.sets = removals.groups.members;
    removals.attribute = {"groups", groups_fingerprint(removals.groups, ids)};
  } else {
    std::vector<std::int64_t> named;
    for (const std::int64_t position : targets_of(options, run, values)) {
      removals.sets.push_back({position});
      named.push_back(ids[position]);
    }
    removals.attribute = {"targets", targets_fingerprint(named)};
  }
  removals.file = file_of(options, removals.grouped, removals.weight);
  return removals;
}

void write_truth(const std::string& path, const Removals& removals, const RetrainedValues& values,
                 const Run& run, const Attributes& attributes) {
  const std::vector<std::int64_t>& ids = run.parts().data.train.ids;
  if (removals.grouped) return write_groups(path, {values, removals.groups}, ids, attributes);
  CounterfactualTruth truth{values, {}, {}};
  for (const auto& set : removals.sets) {
    truth.target_positions.push_back(set.front());
    truth.target_ids.push_back(ids[set.front()]);
  }
  write_counterfactual(path, truth, attributes);
}

}  // namespace whence
