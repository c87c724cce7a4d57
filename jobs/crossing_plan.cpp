#include "crossing_plan.h"

#include <algorithm>
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
  std::vector<std::int64_t> counted;
  for (const std::int64_t k : options.epochs_back)
    if (option == "on" || passes(run, k * run.steps_per_epoch) <= most_passes_counted) counted.push_back(k);
  if (option == "auto" && run.game.layout().player_count() == 1)
    return {{}, "--crossings auto: none are counted in games of one player, which gained nothing by it"};
  if (counted.empty())
    return {{},
            fmt::format("--crossings auto: none are counted beyond {} passes over the data back",
                        most_passes_counted)};
  const std::string reason = reason_against(run, options, formula, counted, memory, ranks);
  if (!reason.empty() && option == "on") refuse("--crossings on: crossings cannot be counted: {}", reason);
  if (!reason.empty()) return {{}, "--crossings auto: none are counted: " + reason};
  std::string sentence =
      fmt::format("--crossings {}: counted {} epochs back", option, fmt::join(counted, ", "));
  if (counted.size() < options.epochs_back.size())
    sentence +=
        fmt::format(", and left to the kink width beyond {} passes over the data", most_passes_counted);
  return {counted, sentence};
}

std::string crossings_in_words(const std::vector<std::int64_t>& counted, const std::vector<double>& each) {
  std::string text;
  for (std::size_t k = 0; k < each.size(); ++k)
    text += fmt::format("{}{:.2g} (k = {})", k > 0 ? ", " : "crossings an instance: ", each[k], counted[k]);
  return text;
}

}  // namespace whence
