#include "whence/comm/launcher.h"

#include <cstdlib>
#include <unistd.h>

#include "whence/core/error.h"

namespace whence {

bool is_a_launchers(const std::string& variable) {
  for (const char* start : {"OMPI_COMM_WORLD_", "PMIX_", "PMI_", "SLURM_PROCID="})
    if (variable.rfind(start, 0) == 0) return true;
  return false;
}

void expect_to_be_alone() {
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (is_a_launchers(*variable)) return;
  setenv("OMPI_MCA_pml", "ob1", 0);
}

void check_launcher(int ranks) {
  if (ranks > 1) return;
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* started = std::getenv(name);
    if (started != nullptr && std::atoi(started) > 1)
      refuse(
          "started as one of {0} ranks, but its MPI sees it alone: what started it is of another MPI than "
          "Whence was built with (which mpirun; srun: --mpi=pmix; of a bundle: its bin/mpirun). Where each "
          "of the {0} is meant to be by itself, set {1}=1 for it",
          started, name);
  }
}

}  // namespace whence
