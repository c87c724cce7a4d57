#include "whence/core/host.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <unistd.h>

namespace whence {
namespace {

// The limit that a file of a control group holds; "max", and a file that is not there, are none.
double limit_in(const std::string& file, double none) {
  std::ifstream stream(file);
  std::string text;
  if (!(stream >> text)) return none;
  char* end = nullptr;
  const double bytes = std::strtod(text.c_str(), &end);
  return *end == '\0' && bytes > 0 ? std::min(bytes, none) : none;
}

// The least limit of a group, such as /slurm/job_7/step_0, and of those above it.
double limit_of(const std::string& top, std::string group, const std::string& file, double none) {
  double least = none;
  for (;; group.erase(group.rfind('/'))) {
    least = limit_in(top + group + "/" + file, least);
    if (group.find('/') == std::string::npos) return least;
  }
}

}  // namespace

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  ::gethostname(name, HOST_NAME_MAX);
  return name;
}

double usable_memory(const std::string& groups, const std::string& root) {
  double bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  std::ifstream stream(groups);
  for (std::string line; std::getline(stream, line);) {  // HIERARCHY:CONTROLLERS:GROUP
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers == ",,")
      bytes = limit_of(root, group, "memory.max", bytes);
    else if (controllers.find(",memory,") != std::string::npos)
      bytes = limit_of(root + "/memory", group, "memory.limit_in_bytes", bytes);
  }
  return bytes;
}

}  // namespace whence
