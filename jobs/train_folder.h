#pragma once
// The folder that a run is trained into.

#include <string>

#include "whence/train/settings.h"

namespace whence {

/// Makes it, or makes sure that it holds the same run, finished or not; UsageError naming --out otherwise.
void prepare_folder(const std::string& folder, const RunSettings& settings);

}  // namespace whence
