#pragma once
// The folder that a run is trained into.

#include <string>

#include "whence/comm/communicator.h"
#include "whence/train/settings.h"

namespace whence {

/// Makes it, or makes sure that it holds the same run, finished or not; UsageError naming --out otherwise.
void prepare_folder(const std::string& folder, const RunSettings& settings);

/// The settings, with --engine auto as torch where an unfinished trajectory was begun by that: what auto
/// takes may since have become native, and a run is one engine's. Collective.
RunSettings with_engine_begun(RunSettings settings, const std::string& trajectory, const Communicator& ranks);

}  // namespace whence
