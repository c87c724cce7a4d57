#pragma once
// The table of what removing instances did to test metrics, in the shape of Terashita et al., tables 6 to 8.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "whence/retrain/cleansing.h"

#include "job.h"

namespace whence {

/// One row for each (metric, selection, number removed), over the `runs` that have it: `baseline`, `change`
/// (means; null where a metric is not finite) and, over several runs, `change_std` and `change_ttest_p`
/// (change against 0).
nlohmann::json cleansing_rows(const std::vector<Cleansing>& runs);

/// The rows as text: a block a metric, a line a selection, a column a number removed.
std::string cleansing_table(const nlohmann::json& rows);

}  // namespace whence
