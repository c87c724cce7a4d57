#include "whence/io/shared_folder.h"

#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <thread>
#include <unistd.h>

#include "whence/core/error.h"
#include "whence/io/artifact.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// A name that no rank has looked for before, since network file systems remember for a while what was
// missing.
std::string new_name() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format(".lock.seen-{}-{}", ::getpid(),
                     std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// Some file systems show new files to other nodes with a delay.
bool appears(const std::string& path) {
  using namespace std::chrono_literals;
  std::error_code code;
  const auto end = std::chrono::steady_clock::now() + 2s;
  while (!fs::exists(path, code)) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

}  // namespace

void check_shared_folder(const std::string& name_of_folder, const Communicator& ranks) {
  if (ranks.size() == 1) return;
  const std::string folder = name_of_folder.empty() ? "." : name_of_folder;
  std::string name;
  ranks.on_root([&] {
    name = new_name();
    write_text(folder + "/" + name, "");
  });
  name = ranks.broadcast(name);
  const std::string root = ranks.broadcast(rank_and_host());
  const auto remove = [&] {
    std::error_code code;
    if (ranks.is_root()) fs::remove(folder + "/" + name, code);
  };
  try {
    ranks.on_every_rank([&] {
      if (!appears(folder + "/" + name))
        refuse("{}: is not the folder that {} has by this name; all ranks need one that they share", folder,
               root);
    });
  } catch (...) {
    remove();
    throw;
  }
  remove();
}

std::string file_system_of(const std::string& folder) {
  std::ifstream mounts("/proc/mounts");
  std::string device, point, type, rest, found = "unknown";
  for (std::size_t longest = 0; mounts >> device >> point >> type && std::getline(mounts, rest);) {
    const std::string below = point == "/" ? "/" : point + "/";
    if ((folder + "/").compare(0, below.size(), below) != 0 || below.size() < longest) continue;
    longest = below.size();
    found = type;
  }
  return found;
}

}  // namespace whence
