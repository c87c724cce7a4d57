#pragma once
// What started this process, and whether as one of several.

#include <string>

namespace whence {

/// Whether an environment variable (NAME=value) is one that mpirun, srun and their like give the processes
/// they start: OMPI_COMM_WORLD_..., PMIX_..., PMI_..., SLURM_PROCID. (A batch script of SLURM has the last
/// one, too.)
bool is_a_launchers(const std::string& variable);

/// Before MPI starts: where no launcher started this process, Open MPI does not look for networks, which
/// takes it a fifth of a second. A choice of the user's (OMPI_MCA_pml) stands; another MPI does not read
/// this.
void expect_to_be_alone();

/// After MPI has started, with so many ranks: refuses a process whose launcher has started several, none of
/// which knows the others: each would do the whole job.
void check_launcher(int ranks);

}  // namespace whence
