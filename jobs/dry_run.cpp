#include "dry_run.h"

#include <algorithm>
#include <fmt/format.h>

#include "whence/io/artifact.h"
#include "whence/io/summary.h"

namespace whence {
namespace {

constexpr double enough = 0.3;  // seconds of a measurement

}  // namespace

void say(const Needs& needs, const Communicator& world) {
  const double memory = world.max(peak_memory() + needs.memory), seconds = world.max(needs.seconds);
  const double room = free_disk(needs.folder), traffic = world.max(needs.traffic);
  std::string text = fmt::format("{}: {}\n", needs.job, needs.work);
  text += fmt::format("  memory: about {} a rank at most (estimated)\n", human_bytes(memory));
  text += fmt::format("  disk:   {} in {}, where {} are free\n", human_bytes(needs.disk), needs.folder,
                      human_bytes(room));
  text += fmt::format("  time:   about {} on {} rank{} (estimated on this machine)\n", human_seconds(seconds),
                      world.size(), world.size() == 1 ? "" : "s");
  if (traffic > 0)
    text += fmt::format("  traffic: {} a step and rank, in sums over ranks\n", human_bytes(traffic));
  if (needs.disk > room)
    text += fmt::format("  The disk has not got the room{}\n",
                        needs.advice.empty() ? "." : "; " + needs.advice + ".");
  print(world, text);
}

double seconds_each(const std::function<void(std::int64_t)>& work, const Communicator& world) {
  const auto timed = [&](std::int64_t count) {
    world.barrier();
    const Stopwatch watch;
    work(count);
    return world.max(watch.seconds());
  };
  double total = timed(1);
  if (total > enough) return total;
  for (std::int64_t count = 1;; count *= 2)
    if (total = timed(count); total > enough / 2 || count >= (1 << 20))
      return total / static_cast<double>(count);
}

}  // namespace whence
