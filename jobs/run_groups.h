#pragma once
// Runs that may be averaged: those that differ in nothing but their seed.

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "whence/core/settings_text.h"

namespace whence {

/// Settings by name.
using Settings = std::map<std::string, std::string>;

/// The settings of a run (the text of its run.cfg) that make it another experiment: without the seed, and
/// without which steps are recorded.
Settings experiment_of(const std::string& run_cfg);

struct RunGroup {
  std::string name;               ///< what sets it apart, "latent 2, batch 50"; of a single group "all runs"
  Settings settings;              ///< those that differ between groups
  std::vector<std::size_t> runs;  ///< places in the list, ascending
};

/// Groups of equal settings, in the order of their first runs.
std::vector<RunGroup> group_runs(const std::vector<Settings>& runs);

}  // namespace whence
