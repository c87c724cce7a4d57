#pragma once
// Rankings as text, CSV, JSON and pictures.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "whence/core/progress.h"
#include "whence/ranking/ranking.h"

namespace whence {

/// One instance in a ranking.
struct RankedRow {
  std::string end;        ///< which end it was counted from
  std::int64_t rank;      ///< from 1 at that end
  std::int64_t position;  ///< in the training set
  std::optional<double> truth;
  bool by_truth = false;  ///< its place was decided by the truth (--merged)
};

/// The first `top` rows of both ends. `merged`: in the order of the truth where there is one and of the
/// estimate elsewhere.
std::vector<RankedRow> rows_of(const Ranking& ranking, std::int64_t top, bool merged);

/// What a ranking is of and how far it can be trusted, e.g. "all, k = 1, kink width 0 (influence.h5)".
std::string title_of(const Ranking& ranking);
std::string reliability_of(const Ranking& ranking);

/// A table with both ends side by side.
std::string ranking_in_words(const Ranking& ranking, std::int64_t top, bool merged);
/// Lines of comma-separated values, and the line that names them.
std::string ranking_as_csv(const Ranking& ranking, std::int64_t top, bool merged);
extern const char* const csv_header;
nlohmann::json ranking_as_json(const Ranking& ranking, std::int64_t top, bool merged);

/// Everything that the rankings know of the instance at a position: its place, value and truth in each.
std::string instance_in_words(const RankedRun& run, const std::vector<Ranking>& rankings,
                              std::int64_t position);
nlohmann::json instance_as_json(const RankedRun& run, const std::vector<Ranking>& rankings,
                                std::int64_t position);

/// Writes a PNG: of each ranking a row of the first end's images, ids above them, and one of the last end's.
/// Error where the instances are no images of one or three channels.
void write_pictures(const std::string& path, const RankedRun& run, const std::vector<Ranking>& rankings,
                    std::int64_t top, bool merged);

/// At the end of the job that wrote file NAME into the run's folder: the first three of both ends of up to
/// three of its rankings, and the command that shows more. Nothing where the log is silent. By any rank.
void say_foremost(const Log& log, const std::string& name, RankedRun run);

}  // namespace whence
