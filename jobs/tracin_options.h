#pragma once
// What `whence tracin` is asked for.

#include <string>

#include "whence/core/options.h"
#include "whence/tracin/tracin.h"

namespace whence {

/// The options of `whence tracin` that say how scores are computed. UsageError naming the option for every
/// impossible value.
TracinOptions read_tracin_options(const Options& options);
/// The settings of a file of scores, or of cosines (`normalised`).
std::string tracin_settings(const Options& options, bool normalised);

}  // namespace whence
