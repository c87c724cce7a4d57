#include "whence/comm/nodes.h"

namespace whence {

OnNode on_node(const Communicator& ranks) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(ranks.handle(), MPI_COMM_TYPE_SHARED, ranks.rank(), MPI_INFO_NULL, &node);
  OnNode own;
  MPI_Comm_rank(node, &own.rank);
  MPI_Comm_size(node, &own.ranks);
  MPI_Comm_free(&node);
  return own;
}

std::int64_t node_count(const Communicator& ranks) {
  return ranks.sum(static_cast<std::int64_t>(on_node(ranks).rank == 0));
}

}  // namespace whence
