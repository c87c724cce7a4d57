#pragma once
// What `whence validate` says: rows of agreement, as JSON and as a table.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "whence/stats/agreement.h"

#include "run_groups.h"

namespace whence {

/// Metric, epochs back, kink width.
using RowKey = std::tuple<std::string, std::int64_t, double>;

/// A run as it was given, with its agreement in every row that it has.
struct ValidatedRun {
  std::string folder;
  Settings settings;
  std::string classifier;  ///< fingerprint, or "none"
  std::map<RowKey, stats::Agreement> rows;
};

/// A row for each group and key, over the group's runs that have it.
nlohmann::json validation_rows(const std::vector<ValidatedRun>& runs, const std::vector<RunGroup>& groups);

/// The groups as JSON: name, the settings that differ, run folders.
nlohmann::json groups_as_json(const std::vector<RunGroup>& groups, const std::vector<std::string>& folders);

/// The rows as text, a block a group, and the notes below it.
std::string validation_table(const nlohmann::json& rows, const nlohmann::json& groups);

}  // namespace whence
