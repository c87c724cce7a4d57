#pragma once
// Which ranks share a node.

#include <cstdint>

#include "whence/comm/communicator.h"

namespace whence {

/// Ranks of the group on this rank's node, itself among them. Collective.
std::int64_t ranks_on_node(const Communicator& ranks);

/// How many nodes the group's ranks are on. Collective.
std::int64_t node_count(const Communicator& ranks);

}  // namespace whence
