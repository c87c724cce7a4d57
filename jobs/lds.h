#pragma once
// Linear datamodeling score: how well sums of scores foretell what removing groups of instances does.
//
// LDS (Park et al., "TRAK", 2023): Spearman's rho, over groups of one size, between the sum of an estimate
// over a group's members and the true change of the metric without the group.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "whence/retrain/groups.h"
#include "whence/tracin/score_files.h"

#include "run_groups.h"

namespace whence {

/// One LDS of one run.
struct LdsValue {
  std::string source, metric;
  std::int64_t epochs_back;
  double fraction;  ///< of listed groups 0: they are of any size
  std::size_t groups;
  double value;
};

/// Every score's LDS for each metric, horizon and fraction of the groups; those of fewer than 3 groups, and
/// of sums or truths that are all equal, are left out.
std::vector<LdsValue> lds_values(const std::vector<Scores>& scores, const GroupTruth& truth);

/// Rows for each group of runs (settings that differ in no more than the seed): mean and 95% bootstrap
/// interval of each source, k, fraction and metric over its runs; loss:0, loss:1, ... together are one row
/// "loss:*".
nlohmann::json lds_rows(const std::vector<std::vector<LdsValue>>& runs, const std::vector<RunGroup>& groups);

/// The rows as text, "" where there are none.
std::string lds_table(const nlohmann::json& rows);

}  // namespace whence
