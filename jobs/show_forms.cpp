// Rankings as CSV and JSON, for other programs.

#include <cmath>
#include <fmt/format.h>

#include "show_words.h"

namespace whence {
namespace {

nlohmann::json optional(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

nlohmann::json finite(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json about(const Ranking& ranking) {
  nlohmann::json json{
      {"file", ranking.file},
      {"of", ranking.of},
      {"quantity", ranking.quantity},
      {"unit", ranking.unit},
      {"epochs_back", ranking.epochs_back > 0 ? nlohmann::json(ranking.epochs_back) : nlohmann::json()},
      {"kink_width", optional(ranking.kink_width)},
      {"note", ranking.note}};
  if (ranking.agreement)
    json["agreement"] = {{"targets", ranking.agreement->targets},
                         {"kendall_tau", finite(ranking.agreement->kendall_tau)},
                         {"kendall_p", finite(ranking.agreement->kendall_p)},
                         {"jaccard", finite(ranking.agreement->jaccard)},
                         {"jaccard_chance", finite(ranking.agreement->jaccard_chance)},
                         {"critical", ranking.agreement->critical}};
  return json;
}

nlohmann::json as_json(const Ranking& ranking, const RankedRow& row) {
  nlohmann::json json{{"rank", row.rank},
                      {"id", ranking.ids[row.position]},
                      {"value", ranking.value[row.position].item<double>()},
                      {"truth", optional(row.truth)},
                      {"place_by", row.by_truth ? "truth" : "estimate"}};
  if (ranking.labels.defined()) json["label"] = ranking.labels[row.position].item<std::int64_t>();
  return json;
}

std::string label_of(const Ranking& ranking, std::int64_t position) {
  return ranking.labels.defined() ? std::to_string(ranking.labels[position].item<std::int64_t>()) : "";
}

// "a, b" as one CSV field.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

}  // namespace

const char* const csv_header = "file,of,epochs_back,kink_width,end,rank,id,label,value,truth,place_by\n";

std::string ranking_as_csv(const Ranking& ranking, std::int64_t top, bool merged) {
  std::string text;
  for (const RankedRow& row : rows_of(ranking, top, merged))
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", quoted(ranking.file), quoted(ranking.of),
                        ranking.epochs_back > 0 ? std::to_string(ranking.epochs_back) : "",
                        ranking.kink_width ? fmt::format("{}", *ranking.kink_width) : "", quoted(row.end),
                        row.rank, ranking.ids[row.position], label_of(ranking, row.position),
                        ranking.value[row.position].item<double>(),
                        row.truth ? fmt::format("{}", *row.truth) : "", row.by_truth ? "truth" : "estimate");
  return text;
}

nlohmann::json ranking_as_json(const Ranking& ranking, std::int64_t top, bool merged) {
  nlohmann::json json = about(ranking);
  json["ends"] = {ranking.first, ranking.last};
  const auto rows = rows_of(ranking, top, merged);
  for (std::size_t i = 0; i < rows.size(); ++i)
    json[i < rows.size() / 2 ? "first" : "last"].push_back(as_json(ranking, rows[i]));
  return json;
}

}  // namespace whence
