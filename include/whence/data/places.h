#pragma once
// Where files of data lie: no part of what a run is, since its fingerprint proves what they hold.

#include <string>
#include <vector>

#include "whence/data/dataset.h"

namespace whence {

/// The options that name files: --data, --plant and --without.
struct DataPlaces {
  std::string data, plant, without;
  std::string game = {};  ///< script:FILE, the model of a run of one
  DataAccess access = {};
};

/// A source (DataOptions::source) with the absolute path of each file or folder it names, so that
/// it can be used from another working folder. As it is where such a path would not be read back (a comma or
/// a # in it).
std::string absolute_source(const std::string& source);

/// The same for SOURCE:NUMBER (DataOptions::plant).
std::string absolute_plant(const std::string& plant);
/// The same of the path of one file; "" stays.
std::string absolute_file(const std::string& path);

/// Where the files that `options` names lie now: as named, or else, for a run folder that was moved together
/// with its data, by the last parts of their paths in the folder `beside` or in one above it.
void find_places(DataOptions& options, const std::string& beside);

/// The same of the path of one file.
std::string find_file(const std::string& path, const std::string& beside);

/// The files and folders named in `options` that are not there, absolute.
std::vector<std::string> missing_places(const DataOptions& options);

}  // namespace whence
