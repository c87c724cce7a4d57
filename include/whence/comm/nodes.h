#pragma once
// Which ranks share a node.

#include <cstdint>

#include "whence/comm/communicator.h"

namespace whence {

/// A rank's place among the ranks of its node, in the group's order.
struct OnNode {
  int rank = 0, ranks = 1;
};
OnNode on_node(const Communicator& ranks);  ///< collective

/// How many nodes the group's ranks are on. Collective.
std::int64_t node_count(const Communicator& ranks);

}  // namespace whence
