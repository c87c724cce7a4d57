#pragma once
// Who takes part in a job: for `whence info --site`.

#include <string>

#include "whence/comm/communicator.h"

namespace whence {

/// How many ranks on which nodes, in which SLURM job.
std::string ranks_in_words(const Communicator& world);
/// The program that started this rank.
std::string launcher_in_words();
/// The network devices of this node, as the kernel knows them.
std::string fabric_in_words();
/// The MPI library that this program has loaded.
std::string mpi_in_words();
/// The GPUs of every node: what the first of its ranks sees.
std::string devices_in_words(const Communicator& world);

}  // namespace whence
