// What control groups allow, against folders made like those of Linux.
#include "whence/core/host.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "support/folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

class UsableMemory : public testing::OwnFolder {
 protected:
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name)) << text << '\n';
  }
  double within(const std::string& groups) const {
    write("groups", groups);
    return usable_memory(path("groups"), path("root"));
  }
  const double machine = usable_memory("/nowhere", "/nowhere");
};

TEST_F(UsableMemory, IsTheMachinesWithoutGroups) {
  EXPECT_EQ(machine,
            static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE)));
  EXPECT_EQ(within("0::/job"), machine);
  write("root/job/memory.max", "max");
  EXPECT_EQ(within("0::/job"), machine);
  write("root/job/memory.max", "99999999999999999");
  EXPECT_EQ(within("0::/job"), machine);
}

TEST_F(UsableMemory, IsTheLeastOfTheGroupAndThoseAboveIt) {
  write("root/memory.max", "5000000");
  write("root/slurm/memory.max", "3000000");
  write("root/slurm/step/memory.max", "4000000");
  EXPECT_EQ(within("0::/slurm/step"), 3000000);
  EXPECT_EQ(within("0::/other"), 5000000);
  EXPECT_EQ(within("0::/"), 5000000);
}

TEST_F(UsableMemory, IsFoundInTheFirstVersionsHierarchy) {
  write("root/memory/slurm/memory.limit_in_bytes", "2000000");
  EXPECT_EQ(within("5:cpu,cpuacct:/other\n4:hugetlb,memory:/slurm/step\n0::/slurm"), 2000000);
  EXPECT_EQ(within("5:cpu,cpuacct:/slurm\n4:memoryless:/slurm"), machine);
}

}  // namespace
}  // namespace whence
