#include "crossing_plan.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/progress.h"
#include "whence/trace/crossings.h"

namespace whence {
namespace {

// Why they cannot be counted for these k, or "".
std::string reason_against(const RecordedSteps& run, const TraceBackOptions& options,
                           const std::string& formula, const std::vector<std::int64_t>& epochs_back,
                           std::int64_t memory, std::int64_t ranks) {
  const auto& widths = options.kink_widths;
  if (std::all_of(widths.begin(), widths.end(), [](double width) { return width == 0; }))
    return "the estimates of --kink-width 0 know nothing of kinks, as published";
  if (formula != "own") return "--formula sgd leaves the optimiser out";
  if (std::string reason = crossings_left_out(run); !reason.empty()) return reason;
  const double bytes = crossing_bytes(run, epochs_back.back(), ranks / options.grid.query_groups);
  if (bytes > static_cast<double>(memory))
    return fmt::format("{} a rank are needed for it (--memory, in MiB, or more ranks)", human_bytes(bytes));
  return "";
}

}  // namespace

CrossingPlan plan_crossings(const std::string& option, const RecordedSteps& run,
                            const TraceBackOptions& options, const std::string& formula, std::int64_t memory,
                            std::int64_t ranks) {
  if (option == "off") return {};
  if (option != "auto" && option != "on") refuse_value("crossings", option, {"auto", "off", "on"});
  const bool all = option == "on";
  if (!all && run.game.layout().player_count() == 1)
    return {
        {},
        {},
        "--crossings auto: none are counted in games of one player, where it takes long (--crossings on)"};
  const std::int64_t ranks_a_group = ranks / options.grid.query_groups;
  const bool can_be_carried = run.game.perceptrons() != nullptr && moves_can_be_carried(run);
  CrossingPlan plan;
  double too_much = 0;
  for (const std::int64_t k : options.epochs_back) {
    const double back = passes(run, k * run.steps_per_epoch);
    const bool wanted = can_be_carried && (all || (back > 1 && back <= most_passes_carried));
    const double bytes = wanted ? carrying_bytes(run, k, ranks_a_group) : 0;
    const bool carried = wanted && bytes <= static_cast<double>(memory);
    if (wanted && !carried) too_much = bytes;
    if (carried) plan.carried.push_back(k);
    if (all || carried || back <= most_passes_frozen) plan.counted.push_back(k);
  }
  const double most = can_be_carried && too_much == 0 ? most_passes_carried : most_passes_frozen;
  const std::string for_more =
      too_much == 0 ? ""
                    : fmt::format(" (for more, {} a rank would be needed: --memory, in MiB, or more ranks)",
                                  human_bytes(too_much));
  if (plan.counted.empty())
    return {{},
            {},
            fmt::format("--crossings auto: none are counted beyond {} passes over the data back{}", most,
                        for_more)};
  const std::string reason = reason_against(run, options, formula, plan.counted, memory, ranks);
  if (!reason.empty() && all) refuse("--crossings on: crossings cannot be counted: {}", reason);
  if (!reason.empty()) return {{}, {}, "--crossings auto: none are counted: " + reason};
  plan.sentence =
      fmt::format("--crossings {}: counted {} epochs back", option, fmt::join(plan.counted, ", "));
  if (!plan.carried.empty())
    plan.sentence += fmt::format(", with moves carried forward for {}", fmt::join(plan.carried, ", "));
  if (plan.counted.size() < options.epochs_back.size())
    plan.sentence += fmt::format(", and left to the kink width beyond {} passes over the data", most);
  plan.sentence += for_more;
  return plan;
}

void follow(const CrossingPlan& plan, TraceBackOptions& options, Attributes& attributes) {
  options.counted = plan.counted;
  options.carried = plan.carried;
  if (!plan.counted.empty()) attributes["crossings"] = fmt::format("{}", fmt::join(plan.counted, ","));
  if (!plan.carried.empty()) attributes["moves_carried"] = fmt::format("{}", fmt::join(plan.carried, ","));
}

CarryProgress look_back(TraceBack& sweep, const RecordedSteps& run, const TraceBackOptions& options,
                        StopVote& vote, const Log& log) {
  CarryProgress carried{0, 0};
  for (const std::int64_t k : options.carried)
    if (k * run.steps_per_epoch > sweep.taken()) carried.total += k * run.steps_per_epoch;
  if (carried.total == 0) return carried;
  Progress progress(log, "steps that moves are carried over", carried.total);
  const bool whole = sweep.look_back([&](double share) {
    carried.done = std::llround(share * static_cast<double>(carried.total));
    progress.advance_to(carried.done);
    return carried.done == carried.total || !vote.agreed();
  });
  if (whole) carried.done = carried.total;
  return carried;
}

std::string carrying_stopped_at(const std::string& folder, const CarryProgress& carried) {
  return fmt::format(
      "{}: stopped by a signal at step {} of {} that moves are carried over; the same command carries them "
      "again",
      folder, carried.done, carried.total);
}

std::string note_crossings(const std::vector<std::int64_t>& counted, const std::vector<double>& each,
                           Attributes& attributes) {
  std::string text;
  for (std::size_t k = 0; k < each.size(); ++k)
    text += fmt::format("{}{:.2g} (k = {})", k > 0 ? ", " : "crossings an instance: ", each[k], counted[k]);
  if (!text.empty()) attributes["crossings_each"] = text;
  return text;
}

}  // namespace whence
