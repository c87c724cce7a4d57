#pragma once
// Whether all ranks mean the same folder by a name, and what it is on.

#include <string>

#include "whence/comm/communicator.h"

namespace whence {

/// For folders that ranks write into together. A relative path, or one on a node's own disk, may name another
/// folder on each rank. Rank 0 makes a file of a new name there for a moment, and all ranks look for it;
/// SharedUsageError naming the folder and the lowest rank that does not find it. Collective.
void check_shared_folder(const std::string& folder, const Communicator& ranks);

/// The type of file system that the folder (an absolute path without links) is on, as Linux names it ("ext4",
/// "lustre"); "unknown" where /proc/mounts does not say.
std::string file_system_of(const std::string& folder);

}  // namespace whence
