#pragma once
// Settings of runs that are older than some of today's options.

#include <string>

#include "whence/io/artifact.h"
#include "whence/io/hdf5.h"

namespace whence {

/// The text of a run's settings with the options that it has not got, at the values that the option table,
/// the game's preset and the optimiser give them: what was done before there were such options. A text that
/// today's options cannot read stays as it is.
std::string with_defaults(const std::string& settings);

/// How the settings of two runs differ in words (see settings_difference), or "", whichever is older.
std::string run_settings_difference(const std::string& there, const std::string& here);

/// The wanted attributes of a trajectory, with `settings` as the file has them where they say the same.
Attributes as_old_as(const H5File& file, Attributes wanted);

}  // namespace whence
