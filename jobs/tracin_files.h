#pragma once
// The files that `whence tracin` writes.

#include <string>
#include <vector>

#include "whence/core/options.h"
#include "whence/io/artifact.h"
#include "whence/tracin/tracin.h"
#include "whence/train/run.h"

namespace whence {

/// A file that the job writes of its blocks.
struct ScoreFile {
  std::string path;
  Attributes attributes;
  TracinOptions options;
};

/// The scores; and --with-cosines, in a file that is the same as one of --normalise. `chosen` is what
/// --queries says or stands for. UsageError for a --name that cannot be one.
std::vector<ScoreFile> score_files(const Options& options, const Run& run, const TracinQueries& queries,
                                   const std::string& chosen, const TracinOptions& tracin);

}  // namespace whence
