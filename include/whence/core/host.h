#pragma once
// The machine that this process runs on.

#include <string>

namespace whence {

std::string host_name();

/// Bytes of memory that the processes here may use: the machine's, or fewer where a control group that this
/// process is in (a container's, a SLURM job's) or one above it allows fewer. `groups` and `root` are where
/// Linux tells (versions 1 and 2).
double usable_memory(const std::string& groups = "/proc/self/cgroup",
                     const std::string& root = "/sys/fs/cgroup");

}  // namespace whence
