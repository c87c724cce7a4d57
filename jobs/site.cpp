#include "site.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <unistd.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <torch/version.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/core/provenance.h"
#include "whence/io/hdf5.h"
#include "whence/io/run_lock.h"
#include "whence/io/shared_folder.h"

#include "site_ranks.h"

namespace whence {
namespace {

constexpr std::int64_t numbers_each = std::int64_t{1} << 21;  // 16 MiB a rank

// Of the slowest rank.
double seconds(const Communicator& world, const std::function<void()>& work) {
  world.barrier();
  const auto begin = std::chrono::steady_clock::now();
  work();
  return world.max(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

std::string sums_in_words(const Communicator& world) {
  if (world.size() == 1) return "not tried with one rank";
  constexpr int times = 100;
  at::Tensor small = at::ones({1}, at::kDouble), large = at::ones({numbers_each}, at::kDouble);
  world.sum(small);
  const double latency = seconds(world, [&] {
    for (int i = 0; i < times; ++i) world.sum(small);
  });
  world.sum(large);
  const double time = seconds(world, [&] { world.sum(large); });
  return fmt::format("8 bytes in {:.1f} us, 16 MiB in {:.1f} ms", 1e6 * latency / times, 1e3 * time);
}

// Whether bytes of a file can be had before they are written, so that a full disk is met at the start.
std::string reserving_in_words(const std::string& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) fail("{}: cannot be created: {}", path, std::strerror(errno));
  const int code = ::fallocate(file, 0, 0, 1 << 20) == 0 ? 0 : errno;
  ::close(file);
  ::unlink(path.c_str());
  return code == 0 ? "space is reserved" : "space cannot be reserved, only filled";
}

std::string folder_in_words(const std::string& folder, const std::string& probe, const Communicator& world) {
  std::string text;
  world.on_root([&] {
    const std::string real = std::filesystem::canonical(folder).string();
    text = fmt::format("{}: {}, {} free, {}", real, file_system_of(real),
                       human_bytes(static_cast<double>(std::filesystem::space(folder).available)),
                       reserving_in_words(probe + ".reserved"));
    std::filesystem::create_directory(probe);
    const std::string caution = RunLock(probe).caution();
    text += caution.empty() ? ", has locks" : ", has no locks (" + caution + ")";
  });
  return world.broadcast(text);
}

// Each rank writes its row of one file and reads its neighbour's.
std::string writing_in_words(const std::string& path, const Communicator& world) {
  const auto row = [&](int rank) { return at::arange(numbers_each) * (rank + 1); };
  const double written = seconds(world, [&] {
    const H5File file = H5File::create(path, world);
    const H5Array rows = file.create_array("rows", at::kLong, {world.size(), numbers_each}, Fill::sparse);
    // All ranks or none go on: a file is closed by all of them.
    world.on_every_rank([&] { rows.write(row(world.rank()).unsqueeze(0), {world.rank(), 0}); });
    file.flush();
  });
  world.on_every_rank([&] {
    const int next = (world.rank() + 1) % world.size();
    const at::Tensor found = H5File::open_to_read(path).array("rows").read({next, 0}, {1, numbers_each});
    if (!at::equal(found[0], row(next))) fail("{}: what rank {} wrote is not what is read here", path, next);
  });
  const double bytes = 8.0 * numbers_each * world.size();
  return fmt::format("{} through MPI-IO in {:.2f} s, read back by the other ranks", human_bytes(bytes),
                     written);
}

}  // namespace

std::string site_in_words(const std::string& folder, const Communicator& world) {
  world.on_root([&] {
    if (!std::filesystem::is_directory(folder)) refuse("--site: {} is no folder", folder);
  });
  check_shared_folder(folder, world);
  const std::string probe = world.broadcast(fmt::format("{}/.whence-site-{}", folder, ::getpid()));
  std::string text =
      fmt::format("whence          {} ({}), LibTorch {}\n", version(), git_sha(), TORCH_VERSION);
  text += "ranks           " + ranks_in_words(world) + "\n";
  text += "launcher        " + world.broadcast(launcher_in_words()) + "\n";
  text += "fabric          " + world.broadcast(fabric_in_words()) + "\n";
  text += "MPI             " + mpi_in_words() + "\n";
  text += "sum over ranks  " + sums_in_words(world) + "\n";
  try {
    text += "folder          " + folder_in_words(folder, probe, world) + "\n";
    text += "one file        " + writing_in_words(probe + "/rows.h5", world) + "\n";
  } catch (const Error&) {
    std::error_code ignored;  // the first error is the one to tell
    if (world.is_root()) std::filesystem::remove_all(probe, ignored);
    throw;
  }
  world.on_root([&] { std::filesystem::remove_all(probe); });
  text += "GPUs            " + devices_in_words(world) + "\n";
  return text + "ready\n";
}

}  // namespace whence
