#include "site_ranks.h"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <set>
#include <unistd.h>
#include <vector>

#include "whence/core/host.h"
#include "whence/device/devices.h"

namespace whence {

std::string ranks_in_words(const Communicator& world) {
  std::set<std::string> hosts;
  for (int rank = 0; rank < world.size(); ++rank) hosts.insert(world.broadcast(host_name(), rank));
  std::string text = fmt::format("{} rank{} on {} node{}: {}", world.size(), world.size() == 1 ? "" : "s",
                                 hosts.size(), hosts.size() == 1 ? "" : "s", fmt::join(hosts, ", "));
  if (const char* job = std::getenv("SLURM_JOB_ID")) text += fmt::format("; SLURM job {}", job);
  return text;
}

std::string mpi_in_words() {
  char library[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(library, &length);
  const std::string text(library, static_cast<std::size_t>(length));
  return text.substr(0, text.find_first_of(",\n"));
}

std::string launcher_in_words() {
  std::ifstream file(fmt::format("/proc/{}/comm", ::getppid()));
  std::string name;
  return std::getline(file, name) ? name : "unknown";
}

// InfiniBand, RoCE and Omni-Path have one class, Slingshot another.
std::string fabric_in_words() {
  std::set<std::string> names;
  for (const char* kind : {"/sys/class/infiniband", "/sys/class/cxi"}) {
    std::error_code none;
    for (const auto& device : std::filesystem::directory_iterator(kind, none))
      names.insert(device.path().filename().string());
  }
  return names.empty() ? "none but TCP" : fmt::format("{}", fmt::join(names, ", "));
}

std::string devices_in_words(const Communicator& world) {
  const VisibleDevices devices = visible_devices();
  const std::string own =
      devices.lines.empty() ? "none: " + devices.reason : fmt::format("{}", fmt::join(devices.lines, "; "));
  std::map<std::string, std::string> by_host;
  for (int rank = 0; rank < world.size(); ++rank)
    by_host.emplace(world.broadcast(host_name(), rank), world.broadcast(own, rank));
  if (by_host.size() == 1) return own;
  std::vector<std::string> lines;
  for (const auto& [host, found] : by_host) lines.push_back(host + ": " + found);
  return fmt::format("{}", fmt::join(lines, "\n                "));
}

}  // namespace whence
