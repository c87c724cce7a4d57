// What tracin would need.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "dry_run.h"

namespace whence {
namespace {

// Seconds of a block of scores alone, and of taking the queries' gradients before it. Collective.
std::pair<double, double> seconds_of_blocks(TracinWorker& worker, const TracinPlan& plan,
                                            const Communicator& world) {
  const TracinBlock& block = plan.blocks.front();
  const auto alike = [&block](const TracinBlock& other) {
    return other.checkpoint == block.checkpoint && other.queries == block.queries;
  };
  const auto timed = [&] {
    const Stopwatch watch;
    worker.row(block);
    return world.max(watch.seconds());
  };
  double with_queries = timed();
  const double alone = seconds_each(
      [&](std::int64_t times) {
        for (; times > 0; --times) worker.row(block);
      },
      world);
  // Coming back from another checkpoint or other queries takes their gradients again, and nothing that is new
  // to the process.
  if (const auto other = std::find_if_not(plan.blocks.begin(), plan.blocks.end(), alike);
      other != plan.blocks.end()) {
    worker.row(*other);
    with_queries = timed();
  }
  return {alone, std::max(0.0, with_queries - alone)};
}

}  // namespace

Needs needs_of_tracin(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                      const TracinPlan& plan, const Communicator& world) {
  const auto blocks = static_cast<double>(plan.blocks.size());
  TracinWorker worker(run, queries, options, plan);
  const auto [alone, entering] = seconds_of_blocks(worker, plan, world);
  double entries = 1;
  for (std::size_t b = 1; b < plan.blocks.size(); ++b)
    entries += plan.blocks[b].checkpoint != plan.blocks[b - 1].checkpoint ||
               !(plan.blocks[b].queries == plan.blocks[b - 1].queries);

  Needs needs{"tracin", fmt::format("{} checkpoints, {} queries, {} blocks of {} instances and {} queries",
                                    plan.steps.size(), queries.size(), plan.blocks.size(), plan.block,
                                    plan.query_chunk)};
  const auto ranks = static_cast<double>(world.size());
  // Neighbouring blocks go to different ranks, so that each takes the gradients of most queries.
  needs.seconds = std::min(entries, std::ceil(blocks / ranks)) * entering + std::ceil(blocks / ranks) * alone;
  const double row = 8.0 * static_cast<double>(plan.row_width());
  const auto instances = static_cast<double>(run.parts().data.train.size());
  const double scores =
      options.instances
          ? 8 * instances * std::max<double>(1, queries.self ? 1 : queries.size()) * (plan.norms ? 2 : 1)
          : 0;
  // Each rank puts its share of the queries together, as many at once as fit, and sorts one of them.
  const double together =
      options.instances ? std::min(scores / ranks + 32 * instances, static_cast<double>(options.memory)) : 0;
  needs.memory = together + row;
  // Beside scores and losses: means of latents, and some hundred pictures.
  const RunParts& parts = run.parts();
  const auto latent = static_cast<double>(parts.game->latent_size()),
             picture = 4.0 * static_cast<double>(parts.data.train.width());
  needs.disk = blocks * row + scores + 8 * instances * (static_cast<double>(plan.steps.size()) + latent) +
               picture * std::min(instances, 1024.0);
  needs.folder = run.folder();
  return needs;
}

}  // namespace whence
