// Everything that is known of one instance.

#include <fmt/format.h>

#include "run_files.h"
#include "show_words.h"

namespace whence {
namespace {

// Where the instance stands in a ranking, from 1 at the first end; 0 where the ranking is of other instances.
std::int64_t rank_in(const Ranking& ranking, std::int64_t id, std::int64_t& position) {
  const auto order = order_of(ranking);
  for (std::size_t i = 0; i < order.size(); ++i)
    if (ranking.ids[order[i]] == id) {
      position = order[i];
      return static_cast<std::int64_t>(i) + 1;
    }
  return 0;
}

// In how many of the run's mini-batches it was, and in the last of which step; not of imported runs.
struct Visits {
  std::int64_t count = 0, last = -1, steps = 0;
};

Visits visits_of(const Trajectory& trajectory, std::int64_t position) {
  Visits visits;
  if (!trajectory.knows_batches()) return visits;
  visits.steps = trajectory.steps();
  for (std::int64_t t = 0; t < visits.steps; ++t) {
    if (!(trajectory.batch(t) == position).any().item<bool>()) continue;
    ++visits.count;
    visits.last = t;
  }
  return visits;
}

std::int64_t id_at(const RankedRun& run, const std::vector<Ranking>& rankings, std::int64_t position) {
  return run.ids.empty() ? rankings.front().ids[position] : run.ids[position];
}

at::Tensor labels_of(const RankedRun& run, const std::vector<Ranking>& rankings) {
  return run.trajectory == nullptr && !rankings.empty() ? rankings.front().labels : run.labels;
}

}  // namespace

std::string instance_in_words(const RankedRun& run, const std::vector<Ranking>& rankings,
                              std::int64_t position) {
  const std::int64_t id = id_at(run, rankings, position);
  const at::Tensor labels = labels_of(run, rankings);
  std::string text = fmt::format("\ninstance {}: position {} of the training set", id, position);
  if (labels.defined()) text += fmt::format(", label {}", labels[position].item<std::int64_t>());
  if (run.trajectory != nullptr) {
    const Visits visits = visits_of(*run.trajectory, position);
    if (visits.steps > 0)
      text += fmt::format(", in {} of {} mini-batches{}", visits.count, visits.steps,
                          visits.count > 0 ? fmt::format(", last that of step {}", visits.last) : "");
  }
  text += "\n\n";
  for (const Ranking& one : rankings) {
    std::int64_t place = 0;
    const std::int64_t rank = rank_in(one, id, place);
    if (rank == 0) continue;
    text += fmt::format("{}\n  {} {}, place {} of {} from '{}'", title_of(one), one.quantity,
                        significant(one.value[place].item<double>(), 4), rank, one.ids.size(), one.first);
    if (const auto truth = one.truth.find(place); truth != one.truth.end())
      text += fmt::format(", truly {}", significant(truth->second, 4));
    else if (!one.truth.empty())
      text += ", not retrained";
    const std::string reliability = reliability_of(one);
    text += reliability.empty() ? "\n" : fmt::format("\n  {}\n", reliability);
  }
  return text;
}

nlohmann::json instance_as_json(const RankedRun& run, const std::vector<Ranking>& rankings,
                                std::int64_t position) {
  const std::int64_t id = id_at(run, rankings, position);
  nlohmann::json json{{"id", id}, {"position", position}};
  const at::Tensor labels = labels_of(run, rankings);
  if (labels.defined()) json["label"] = labels[position].item<std::int64_t>();
  if (run.trajectory != nullptr && run.trajectory->knows_batches())
    json["mini_batches"] = visits_of(*run.trajectory, position).count;
  for (const Ranking& one : rankings) {
    std::int64_t place = 0;
    const std::int64_t rank = rank_in(one, id, place);
    if (rank == 0) continue;
    const auto truth = one.truth.find(place);
    json["rankings"].push_back(
        {{"file", one.file},
         {"of", one.of},
         {"epochs_back", one.epochs_back > 0 ? nlohmann::json(one.epochs_back) : nlohmann::json()},
         {"kink_width", one.kink_width ? nlohmann::json(*one.kink_width) : nlohmann::json()},
         {"quantity", one.quantity},
         {"value", one.value[place].item<double>()},
         {"truth", truth == one.truth.end() ? nlohmann::json() : nlohmann::json(truth->second)},
         {"place", rank},
         {"of_instances", one.ids.size()},
         {"from", one.first}});
  }
  return json;
}

}  // namespace whence
