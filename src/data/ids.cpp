#include "whence/data/ids.h"

#include <exception>
#include <fstream>
#include <set>

#include "whence/core/error.h"

namespace whence {

std::vector<std::int64_t> ids_in_file(const std::string& option, const std::string& path) {
  std::ifstream file(path);
  if (!file) refuse("--{}: '{}' is not a file that can be read", option, path);
  std::vector<std::int64_t> ids;
  std::set<std::int64_t> seen;
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::size_t used = 0;
    std::int64_t id = 0;
    try {
      id = std::stoll(line, &used);
    } catch (const std::exception&) {
    }
    if (used == 0 || line.find_first_not_of(" \t\r", used) != std::string::npos)
      refuse("--{}: {}: '{}' is not an instance id", option, path, line);
    if (!seen.insert(id).second) refuse("--{}: {}: the id {} is there twice", option, path, id);
    ids.push_back(id);
  }
  if (ids.empty()) refuse("--{}: {} holds no ids", option, path);
  return ids;
}

}  // namespace whence
