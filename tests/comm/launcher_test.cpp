// A process alone starts MPI without its search for networks; one of several does not.
#include "whence/comm/launcher.h"

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "whence/core/error.h"

namespace whence {
namespace {

TEST(Launcher, IsKnownByWhatItSets) {
  for (const char* variable :
       {"OMPI_COMM_WORLD_SIZE=2", "PMIX_RANK=0", "PMI_FD=7", "PMI_RANK=0", "SLURM_PROCID=0"})
    EXPECT_TRUE(is_a_launchers(variable)) << variable;
  for (const char* variable :
       {"OMPI_MCA_pml=ob1", "SLURM_JOB_ID=7", "SLURM_NTASKS=4", "HOME=/root", "XPMIX_RANK=1", "PMI", ""})
    EXPECT_FALSE(is_a_launchers(variable)) << variable;
}

// What OMPI_MCA_pml is for MPI in a process with this environment.
std::string choice_with(const std::vector<std::pair<std::string, std::string>>& environment) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    clearenv();
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    expect_to_be_alone();
    const char* pml = std::getenv("OMPI_MCA_pml");
    const std::string text = pml == nullptr ? "none" : pml;
    _exit(write(ends[1], text.data(), text.size()) < 0);
  }
  close(ends[1]);
  char text[64] = {};
  const ssize_t size = read(ends[0], text, sizeof text);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return {text, static_cast<std::size_t>(std::max<ssize_t>(0, size))};
}

TEST(Launcher, OnlyAProcessAloneAndLeftToItselfLooksForNoNetwork) {
  EXPECT_EQ(choice_with({{"HOME", "/"}}), "ob1");
  EXPECT_EQ(choice_with({{"HOME", "/"}, {"PMIX_RANK", "0"}}), "none");
  EXPECT_EQ(choice_with({{"OMPI_MCA_pml", "ucx"}}), "ucx");
}

// Open MPI, MPICH and srun, in the words of a process that MPI takes for a job of its own.
TEST(Launcher, OneOfSeveralThatMpiSeesAloneIsRefused) {
  const auto ends_with = [](int ranks, const char* name, const char* value) {
    const pid_t child = fork();
    if (child == 0) {
      clearenv();
      setenv(name, value, 1);
      try {
        check_launcher(ranks);
      } catch (const UsageError& error) {
        _exit(std::string(error.what()).find("one of 4 ranks, but its MPI sees it alone") == std::string::npos
                  ? 3
                  : 2);
      }
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    EXPECT_EQ(ends_with(1, name, "4"), 2) << name;
    EXPECT_EQ(ends_with(4, name, "4"), 0) << name;
    EXPECT_EQ(ends_with(1, name, "1"), 0) << name;
  }
  EXPECT_EQ(ends_with(1, "SLURM_NTASKS", "4"), 0) << "a batch script's, which starts one rank by itself";
}

}  // namespace
}  // namespace whence
