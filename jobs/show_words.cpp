#include "show_words.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "run_files.h"

namespace whence {
namespace {

std::string label_of(const at::Tensor& labels, std::int64_t position) {
  return labels.defined() ? std::to_string(labels[position].item<std::int64_t>()) : "-";
}

// The ranking with the truth in the place of estimates that have one.
Ranking with_truth(Ranking ranking) {
  ranking.value = ranking.value.clone();
  for (const auto& [position, value] : ranking.truth) ranking.value[position] = value;
  return ranking;
}

// Whether removing any instance is predicted to improve the metric.
bool none_helps(const Ranking& ranking) {
  if (ranking.last != "most helpful" || ranking.ids.empty()) return false;
  return ranking.first_is_largest ? ranking.value.min().item<double>() >= 0
                                  : ranking.value.max().item<double>() <= 0;
}

std::string cells(const Ranking& ranking, const RankedRow& row, bool merged) {
  const double value = ranking.value[row.position].item<double>();
  std::string text = fmt::format("{:>10} {:>6} {:>11}", ranking.ids[row.position],
                                 label_of(ranking.labels, row.position), significant(value, 4));
  if (!ranking.truth.empty()) text += fmt::format(" {:>11}", row.truth ? significant(*row.truth, 4) : "-");
  if (merged) text += row.by_truth ? "  true     " : "  estimated";
  return text;
}

std::string head(const Ranking& ranking, bool merged) {
  std::string text = fmt::format("{:>10} {:>6} {:>11}", ranking.of_groups ? "group" : "id", "label",
                                 ranking.quantity == "self-influence" ? "influence" : ranking.quantity);
  if (!ranking.truth.empty()) text += fmt::format(" {:>11}", "true");
  if (merged) text += "  place is  ";
  return text;
}

std::string foremost_in_words(const std::vector<Ranking>& rankings, const std::string& folder) {
  constexpr std::size_t most_rankings = 3;
  std::string text;
  for (std::size_t r = 0; r < std::min(most_rankings, rankings.size()); ++r) {
    const auto rows = rows_of(rankings[r], 3, false);
    text += title_of(rankings[r]) + ":";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const bool begins = i % (rows.size() / 2) == 0;
      text += fmt::format("{} {} ({})", begins ? (i == 0 ? " " : "; ") + rows[i].end : ",",
                          rankings[r].ids[rows[i].position],
                          significant(rankings[r].value[rows[i].position].item<double>(), 3));
    }
    text += "\n";
  }
  return text + fmt::format("whence show {} lists {}", folder,
                            rankings.size() > most_rankings
                                ? fmt::format("more of these, and {} others", rankings.size() - most_rankings)
                                : "more");
}

}  // namespace

std::vector<RankedRow> rows_of(const Ranking& ranking, std::int64_t top, bool merged) {
  Ranking one = merged ? with_truth(ranking) : ranking;
  std::vector<RankedRow> rows;
  for (const std::string& end : {ranking.first, ranking.last}) {
    const auto order = order_of(one);
    for (std::int64_t i = 0; i < std::min(top, static_cast<std::int64_t>(order.size())); ++i) {
      const auto truth = ranking.truth.find(order[i]);
      const bool known = truth != ranking.truth.end();
      rows.push_back({end, i + 1, order[i], known ? std::optional<double>(truth->second) : std::nullopt,
                      merged && known});
    }
    one.first_is_largest =
        !one.first_is_largest;  // from the other end, equal ones in order of position again
  }
  return rows;
}

std::string title_of(const Ranking& ranking) {
  std::string text = ranking.of;
  if (ranking.epochs_back > 0) text += fmt::format(", k = {}", ranking.epochs_back);
  if (ranking.kink_width) text += fmt::format(", kink width {}", *ranking.kink_width);
  return text + fmt::format(" ({}{})", ranking.file, ranking.unit.empty() ? "" : ", in " + ranking.unit);
}

std::string reliability_of(const Ranking& ranking) {
  if (!ranking.agreement)
    return ranking.quantity == "influence" && ranking.note.empty()
               ? "not held against retraining (whence counterfactual does)"
               : ranking.note;
  const stats::Agreement& found = *ranking.agreement;
  if (!found.reason.empty() && !std::isfinite(found.kendall_tau))
    return fmt::format("of {} retrained: {}", found.targets, found.reason);
  return fmt::format(
      "of {} retrained: Kendall's tau {}, Jaccard of the {} + {} most critical {} (by chance {})",
      found.targets, significant(found.kendall_tau, 3), found.critical, found.critical,
      significant(found.jaccard, 3), significant(found.jaccard_chance, 3));
}

std::string ranking_in_words(const Ranking& ranking, std::int64_t top, bool merged) {
  const auto rows = rows_of(ranking, top, merged);
  const std::size_t count = rows.size() / 2;
  const std::string names = head(ranking, merged), reliability = reliability_of(ranking);
  std::string text = title_of(ranking) + "\n" + (reliability.empty() ? "" : reliability + "\n");
  if (none_helps(ranking)) text += "by this no instance helps: the helpful end lists those that harm least\n";
  text += fmt::format("{:>4} {:<{}} |{}\n", "", "   " + ranking.first, names.size(), "    " + ranking.last);
  text += fmt::format("{:>4} {} |{}\n", "rank", names, names);
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("{:>4} {} |{}\n", i + 1, cells(ranking, rows[i], merged),
                        cells(ranking, rows[count + i], merged));
  return text;
}

void say_foremost(const Log& log, const std::string& name, RankedRun run) {
  if (!log.speaking()) return;
  RankingChoice choice;
  choice.check = false;  // it has just been written
  const auto rankings = name == "influence.h5" ? influence_rankings(run, choice)
                        : name == "density.h5" ? density_rankings(run, choice)
                                               : tracin_rankings(run, name, choice);
  if (!rankings.empty()) log.say(foremost_in_words(rankings, run.folder));
}

}  // namespace whence
