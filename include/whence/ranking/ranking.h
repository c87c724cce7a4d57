#pragma once
// Which instances matter: what a run folder's results say of each, as lists that can be put in order.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/stats/agreement.h"
#include "whence/train/run.h"

namespace whence {

/// The order of N instances by one number of each.
struct Ranking {
  std::string file;                      ///< that it is from, "influence.h5"
  std::string of;                        ///< a metric, a query, a selection
  std::int64_t epochs_back = 0;          ///< k; 0 where it has none
  std::optional<double> kink_width;      ///< where it has one
  std::string quantity;                  ///< what the number is, "influence"
  std::string unit;                      ///< "nats", or ""
  std::string first, last;               ///< what the two ends are, "most harmful", "most helpful"
  bool first_is_largest = true;          ///< whether the numbers fall from the first end to the last
  std::vector<std::int64_t> ids;         ///< [N]; of groups their numbers in the file
  bool of_groups = false;                ///< of groups of instances, and not of instances
  at::Tensor labels;                     ///< [N] int64, or undefined
  at::Tensor value;                      ///< [N] float64
  std::map<std::int64_t, double> truth;  ///< by position: influence by retraining
  std::optional<stats::Agreement> agreement = {};  ///< of value and truth, over those of counterfactual.h5
  std::string note = {};                           ///< what to know besides, a sentence
};

/// Positions from the first end of a ranking to its last; equal ones in order of position.
std::vector<std::int64_t> order_of(const Ranking& ranking);

/// What rankings of a run folder need to know of the run. Without its data (they were moved away) there are
/// no labels; a folder of densities alone has no trajectory.
struct RankedRun {
  std::string folder;
  std::shared_ptr<const Trajectory> trajectory = nullptr;
  std::vector<std::int64_t> ids = {};
  at::Tensor labels = {};    ///< [N], or undefined
  Instances instances = {};  ///< undefined where the data are not there
  std::vector<std::int64_t> shape = {};
  std::shared_ptr<const Game> game = nullptr;
  std::vector<std::string> notes = {};  ///< sentences about what was left out
};

/// The folder, opened. Error when it holds nothing that has an order.
RankedRun open_ranked(const std::string& folder, const DataPlaces& places);
/// The same of a run that a job has open.
RankedRun ranked(const Run& run);

/// Which rankings are wanted.
struct RankingChoice {
  std::vector<std::string> metrics = {};       ///< none: all
  std::vector<std::int64_t> epochs_back = {};  ///< none: all
  std::vector<double> kink_widths = {};  ///< none: of each metric and k the one that agrees best with the
                                         ///< truth, or the first
  bool all_kink_widths = false;
  std::vector<std::int64_t> queries = {0};  ///< of tracin and density files; none: all
  bool groups = true;                       ///< of groups, too
  bool check = true;                        ///< checksums of all that is read
};

/// Of influence.h5, with the truth of counterfactual.h5 and counterfactual-NAME.h5; then groups*.h5,
/// tracin*.h5, density.h5 and cleansing.h5. A file that is of another run, damaged or of another classifier
/// is left out with a note in `run.notes`.
std::vector<Ranking> rankings_of(RankedRun& run, const RankingChoice& choice);

/// The parts of the above. Error where the file is not what it should be.
std::vector<Ranking> influence_rankings(RankedRun& run, const RankingChoice& choice);
std::vector<Ranking> group_rankings(RankedRun& run, const std::string& name, const RankingChoice& choice);
std::vector<Ranking> tracin_rankings(RankedRun& run, const std::string& name, const RankingChoice& choice);
std::vector<Ranking> density_rankings(RankedRun& run, const RankingChoice& choice);
std::vector<Ranking> cleansing_rankings(RankedRun& run, const RankingChoice& choice);

/// The names of the two ends and their direction for influence on a metric: harmful is what improves the
/// metric by its absence. Of a metric that nobody knows, "most raised by removal" and "most lowered by
/// removal".
void name_ends(Ranking& ranking, const std::string& metric, const Game* game);
/// "nats" for metrics that are logarithms of probabilities; "".
std::string unit_of(const std::string& metric);

}  // namespace whence
