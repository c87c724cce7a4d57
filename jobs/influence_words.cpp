// What whence influence says about how far its estimates are to be believed.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "whence/trace/adjoint_norms.h"

#include "influence_paths.h"
#include "run_files.h"

namespace whence {
namespace {

// Of a metric up to k epochs back, over all kink widths.
Growth growth_of(const InfluenceEstimates& estimates, std::size_t m, std::int64_t farthest) {
  Growth largest{0, 0, 0};
  for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h) {
    const Growth one =
        largest_growth(estimates.adjoint_norm[static_cast<std::int64_t>(h)][static_cast<std::int64_t>(m)],
                       estimates.norm_steps_back, farthest);
    if (one.factor > largest.factor) largest = one;
  }
  return largest;
}

}  // namespace

std::string growth_in_words(const InfluenceEstimates& estimates, std::int64_t steps_per_epoch) {
  std::vector<std::string> all, warnings;
  for (std::size_t m = 0; m < estimates.metrics.size(); ++m) {
    const std::string& metric = estimates.metrics[m];
    const Growth most = growth_of(estimates, m, estimates.epochs_back.back() * steps_per_epoch);
    all.push_back(fmt::format("{} {}", metric, significant(most.factor, 3)));
    std::vector<std::int64_t> horizons;
    for (const std::int64_t k : estimates.epochs_back)
      if (growth_of(estimates, m, k * steps_per_epoch).factor > growth_to_warn_of) horizons.push_back(k);
    if (horizons.empty()) continue;
    warnings.push_back(fmt::format(
        "{} at k = {}: |u| grew {}-fold between {} and {} steps before the end; over {}-fold, training was "
        "unstable there and estimates from further back may be wrong; --paths 3 says which",
        metric, fmt::join(horizons, ", "), significant(most.factor, 3), most.begin, most.end,
        growth_to_warn_of));
  }
  std::string text =
      fmt::format("largest growth of |u| over {} steps: {}", growth_window, fmt::join(all, ", "));
  for (const std::string& warning : warnings) text += "\n" + warning;
  return text;
}

std::string expected_in_words(const InfluenceEstimates& estimates, bool kinks) {
  if (!estimates.path_tau.defined()) return "";
  const auto number = [](std::size_t i) { return static_cast<std::int64_t>(i); };
  std::vector<std::string> parts;
  for (std::size_t m = 0; m < estimates.metrics.size(); ++m)
    for (std::size_t k = 0; k < estimates.epochs_back.size(); ++k)
      for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h) {
        const auto tau = estimates.path_tau[number(h)][number(m)][number(k)].item<double>();
        parts.push_back(fmt::format(
            "{} {} (k = {}{})", estimates.metrics[m], significant(tau, 3), estimates.epochs_back[k],
            estimates.kink_widths.size() > 1 ? fmt::format(", kink width {:g}", estimates.kink_widths[h])
                                             : ""));
      }
  return fmt::format(
      "agreement between paths, Kendall's tau between the estimates along {} of them: {}{}",
      estimates.path_id.size(1) + 1, fmt::join(parts, ", "),
      kinks ? "; it does not see kinks, which this game has: few epochs back the truth may agree less" : "");
}

}  // namespace whence
