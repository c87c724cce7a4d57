#include "block_replicas.h"

#include <algorithm>
#include <filesystem>

#include "whence/comm/nodes.h"
#include "whence/core/error.h"
#include "whence/core/host.h"
#include "whence/core/text.h"
#include "whence/retrain/block_size.h"

#include "dry_run_steps.h"

namespace whence {
namespace {

// States of a replica that are held at once: before and after a step, its gradient, and the engine's own.
constexpr double states_held = 4;

constexpr const char* of_store = "replicas";  // an attribute of NAME.part

// Of an unfinished file of this very job; none where there is none, or BlockStore will say what is wrong with
// it.
std::optional<std::int64_t> begun_with(const BlockSizing& sizing) {
  const std::string part = sizing.result + ".part";
  if (!std::filesystem::exists(part)) return {};
  try {
    const H5File file = open_artifact(part, sizing.schema);
    if (!difference(file, sizing.attributes).empty()) return {};
    const auto replicas = whole_number(file.attribute(of_store));
    const auto sets = static_cast<std::int64_t>(sizing.removals.size());
    return replicas && *replicas > 0 && *replicas <= sets ? replicas : std::nullopt;
  } catch (const Error&) {
    return {};
  }
}

// Removal sets of a block, which has one replica more, in half of a rank's share of its node's memory.
std::int64_t fitting_into_memory(const Run& run, const Communicator& world) {
  const double share = usable_memory() / static_cast<double>(on_node(world).ranks);
  const auto replicas = static_cast<std::int64_t>(share / 2 / (states_held * bytes_of(run)));
  return world.min(std::max<std::int64_t>(1, replicas - 1));
}

}  // namespace

OptionTable& add_replicas_option(OptionTable& table, const char* what, std::int64_t largest) {
  return table.add<std::string>(
      "replicas", "auto",
      fmt::format(
          "{} retrained together as one block; auto: as an earlier start has begun, else up to {}, so "
          "that all ranks have done soonest, if they fit into memory",
          what, largest),
      Kind::execution);
}

std::optional<std::int64_t> asked_replicas(const Options& options) {
  const std::string& text = options.text("replicas");
  if (text == "auto") return {};
  const std::vector<std::int64_t> numbers = integer_list("replicas", text);
  if (numbers.size() > 1) refuse("--replicas: '{}' is more than one number", visible(text));
  return numbers.front();
}

BlockPlan plan_blocks(const BlockSizing& sizing, const Communicator& world) {
  const auto sets = static_cast<std::int64_t>(sizing.removals.size());
  std::int64_t given = sizing.asked ? std::min(*sizing.asked, sets) : 0;
  if (given == 0) {
    world.on_root([&] { given = begun_with(sizing).value_or(0); });
    given = world.broadcast(given);
  }
  const RetrainingStarts starts = starts_of(recorded_steps_of(sizing.run), sizing.removals,
                                            sizing.epochs_back, std::max(given, sizing.largest));
  BlockPlan plan{given, {}, sizing.attributes};
  if (given == 0 && sizing.run.parts().device.is_cpu())
    plan.replicas = best_block_size(starts, std::min(sizing.largest, fitting_into_memory(sizing.run, world)),
                                    world.size());
  else if (given == 0)
    // Rounding depends on how many replicas there are: neither ranks nor the host's memory may matter.
    plan.replicas = best_block_size(starts, sizing.largest, 1);
  plan.blocks = plan_counterfactuals(starts, plan.replicas);
  plan.of_store[of_store] = std::to_string(plan.replicas);
  return plan;
}

}  // namespace whence
