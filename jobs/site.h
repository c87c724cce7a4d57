#pragma once
// What Whence needs of the place where it runs, tried out.

#include <string>

#include "whence/comm/communicator.h"

namespace whence {

/// Ranks and hosts, MPI, a sum over all ranks, `folder` (where runs will be: file system, room, locks,
/// reserved space, one file written by all ranks together and read back), devices and LibTorch, a line each,
/// on every rank. The last line is "ready", or there is an Error in one sentence. Leaves nothing in the
/// folder. Collective.
std::string site_in_words(const std::string& folder, const Communicator& world);

}  // namespace whence
