#include "job.h"

#include <cstdio>
#include <fmt/format.h>

#include "whence/comm/session.h"
#include "whence/core/error.h"
#include "whence/core/stop.h"
#include "whence/device/devices.h"

namespace whence {

OptionTable& add_execution_options(OptionTable& table) {
  return table.add<std::int64_t>("threads", 1, "threads a rank", Kind::execution)
      .flag("quiet", "no progress on standard error")
      .flag("dry-run", "say what the job would need, and stop");
}

OptionTable& add_device_options(OptionTable& table) {
  return table
      .add<std::string>("device", "cpu", "where to compute: cpu, or cuda (one GPU a rank)", Kind::execution)
      .flag("share-gpu", "several ranks may share a GPU, and communicate through host memory");
}

Place take_place(const Options& options, const Communicator& world) {
  Place place{world, at::kCPU};
  place.device = join_devices(options.text("device"), options.flag("share-gpu"), place.world);
  return place;
}

OptionTable& add_determinism_option(OptionTable& table) {
  return table.flag("nondeterministic",
                    "on a GPU: also use algorithms whose results differ in the last bits from run to run");
}

void choose_determinism(const Options& options, at::Device device) {
  if (!options.flag("nondeterministic")) use_deterministic_algorithms(device);
}

Log begin_job(const Options& options, const Communicator& world) {
  Session::use_threads(static_cast<int>(options.integer("threads", 1)));
  return Log(world.is_root() && !options.flag("quiet"));
}

std::int64_t memory_limit(const Options& options) {
  constexpr std::int64_t most = 1 << 30;  // MiB that no machine has: bytes counted from it fit into a number
  const std::int64_t mebibytes = options.integer("memory", 1);
  if (mebibytes > most) refuse("--memory is {}, but must be at most {}", mebibytes, most);
  return mebibytes << 20;
}

std::string stopped_at(const std::string& folder, const std::string& unit, std::int64_t done,
                       std::int64_t total) {
  return fmt::format(
      "{}: stopped by a signal at {} {} of {}; what is done is saved, and the same command goes on", folder,
      unit, done, total);
}

void leave_off(BlockStore& store, std::int64_t finished, std::int64_t blocks, const std::string& folder,
               const JobCost& cost, const Log& log, const Communicator& world) {
  const std::int64_t done = store.finished_count() + finished;
  store.close();
  log.say(record_cost(folder, cost, world));
  throw Interrupted(stopped_at(folder, "block", done, blocks));
}

void print(const Communicator& world, const std::string& text) {
  if (!world.is_root()) return;
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace whence
