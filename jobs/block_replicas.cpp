#include "block_replicas.h"

#include <algorithm>
#include <optional>

#include "whence/comm/nodes.h"
#include "whence/core/error.h"
#include "whence/core/host.h"
#include "whence/io/block_store.h"
#include "whence/retrain/block_size.h"

#include "dry_run_steps.h"

namespace whence {
namespace {

// States of a replica that are held at once: before and after a step, its gradient, and the engine's own.
constexpr double states_held = 4;

std::optional<std::int64_t> begun_with(const BlockSizing& sizing) {
  const auto width = BlockStore::unfinished_width(sizing.result);
  for (std::int64_t size = 1; width && size <= static_cast<std::int64_t>(sizing.removals.size()); ++size)
    if (sizing.width(size) == *width) return size;
  return {};
}

std::int64_t fitting_into_memory(const Run& run, const Communicator& world) {
  const double share = usable_memory() / static_cast<double>(ranks_on_node(world));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(share / 2 / (states_held * bytes_of(run))));
}

}  // namespace

OptionTable& add_replicas_option(OptionTable& table, const char* what) {
  return table.add<std::string>("replicas", "auto",
                                std::string(what) +
                                    " retrained together as one block; auto: so many that all ranks are done "
                                    "at the same time, if they fit into memory",
                                Kind::execution);
}

BlockPlan plan_blocks(const Options& options, const BlockSizing& sizing, const Communicator& world) {
  const auto sets = static_cast<std::int64_t>(sizing.removals.size());
  std::int64_t given = 0;
  world.on_every_rank([&] {
    const std::string& text = options.text("replicas");
    const std::vector<std::int64_t> asked =
        text == "auto" ? std::vector<std::int64_t>{} : integer_list("replicas", text);
    if (asked.size() > 1) refuse("--replicas: '{}' is more than one number", text);
    if (!asked.empty()) given = std::min(asked.front(), sets);
    if (const auto begun = begun_with(sizing)) given = *begun;
  });
  given = world.max(given);
  // On other devices rounding depends on how many replicas there are: the number of ranks must not matter.
  const std::int64_t cut_for = sizing.run.parts().device.is_cpu() ? world.size() : 1;
  const std::int64_t fitting = -world.max(-fitting_into_memory(sizing.run, world));
  const RetrainingStarts starts = starts_of(recorded_steps_of(sizing.run), sizing.removals,
                                            sizing.epochs_back, std::max(given, sizing.largest));
  const std::int64_t replicas =
      given > 0 ? given : best_block_size(starts, std::min(sizing.largest, fitting), cut_for);
  return {replicas, plan_counterfactuals(starts, replicas)};
}

}  // namespace whence
