#pragma once
// Which instances to remove first: selections of data cleansing (Terashita et al., section 5.2).

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/data/instances.h"
#include "whence/game/game.h"
#include "whence/trace/estimates.h"

namespace whence {

/// One way to choose instances, as `whence cleanse --select` names it: "influence:METRIC", "isolation-forest"
/// or "random"; "disc-loss" is short for "influence:disc-loss".
struct Selection {
  enum class Kind { influence, isolation_forest, random };
  std::string name;
  Kind kind;
  std::string metric;  ///< of Kind::influence
};

/// Reads --select, names with commas between. UsageError naming it for an unknown or repeated selection.
/// `game`: see larger_is_better().
std::vector<Selection> parse_selections(const std::string& text, const Game* game = nullptr);

/// What selections choose by.
struct HarmSources {
  const InfluenceEstimates* estimates;  ///< may be null where no selection needs it
  std::int64_t epochs_back;             ///< which of the estimates
  Instances forest_points;              ///< [N, d] that the isolation forest is grown from
  std::uint64_t seed;
  const Game* game = nullptr;  ///< see larger_is_better()
};

/// Whether a selection needs HarmSources::estimates.
bool needs_influence(const std::vector<Selection>& selections);
/// Error when the estimates lack the influence that a selection needs over that many epochs.
void check_estimates(const std::vector<Selection>& selections, const InfluenceEstimates& estimates,
                     std::int64_t epochs_back);

/// How harmful each instance is [N] float64. By influence: how much removing it is predicted to improve the
/// metric (for several kink widths, by the first); by isolation forest: its anomaly score; random: uniform on
/// [0, 1). Error when the estimates have no such metric or epochs_back.
at::Tensor harm_of(const Selection& selection, const HarmSources& sources);

/// Positions in order of falling harm [N], equal ones in order of position. Error when one is not finite.
std::vector<std::int64_t> most_harmful_first(const at::Tensor& harm);

}  // namespace whence
