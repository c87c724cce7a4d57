#pragma once
// Unpacked copies of data, kept from job to job.

#include <cstdint>
#include <functional>
#include <string>

#include "whence/data/data_access.h"

namespace whence {

/// Removes what processes that were ended have left of `path` under a name of their own, own_name(path):
/// those of this host that are no more, and those of others that have written nothing for a day.
void remove_left_over(const std::string& path);

/// `path` for this process alone: path.HOST.PID.
std::string own_name(const std::string& path);

/// access.cache, or else $XDG_CACHE_HOME/whence, or ~/.cache/whence, or whence-USER in the folder for
/// temporary files. It need not be there.
std::string cache_folder(const DataAccess& access);

/// Takes bytes to be written.
using Sink = std::function<void(const void* bytes, std::size_t count)>;

/// What unpacking makes of a user's file.
struct Unpacked {
  std::string origin;  ///< the user's file
  std::string what;    ///< which part of it, and as what: "X as float32"; "" for all of it
  std::int64_t bytes;  ///< how many there will be; of what only unpacking tells, -1
};

struct CachedFile {
  std::string path;
  std::int64_t begin = 0, bytes = 0;
};

/// The file in the cache folder in which the bytes that `write` gives for `unpacked` lie. They are unpacked
/// once for all jobs, until the user's file is another, or was changed: one process does it, and others wait.
/// Error naming the folder where there is no room, or nothing can be written.
CachedFile cached(const Unpacked& unpacked, const DataAccess& access,
                  const std::function<void(const Sink&)>& write);

}  // namespace whence
