#pragma once
// What all ranks of a job must have alike: the job, the program, its options, the data.

#include <string>
#include <utility>
#include <vector>

#include "whence/comm/communicator.h"

namespace whence {

/// Compares named values, such as {"--loss", "training"}, over all ranks. When any differs, every rank throws
/// one SharedUsageError: it names the first difference of the lowest rank that differs from rank 0, both
/// values, both ranks and their hosts. Of a value of several lines it shows the first line that differs.
/// Collective; a rank may bring other names than the others.
void check_alike(const std::vector<std::pair<std::string, std::string>>& values, const Communicator& ranks);

}  // namespace whence
