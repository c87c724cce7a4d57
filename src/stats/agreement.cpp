#include "whence/stats/agreement.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "whence/core/error.h"
#include "whence/stats/jaccard.h"
#include "whence/stats/rank_correlation.h"

namespace whence::stats {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> column(const std::vector<Agreement>& runs, double Agreement::*member) {
  std::vector<double> values;
  for (const Agreement& run : runs)
    if (std::isfinite(run.*member)) values.push_back(run.*member);
  return values;
}

double mean(const std::vector<double>& values) { return one_sample_t_test(values, 0).mean; }

// Why one list has no order; empty where it has one.
std::string without_order(const std::string& which, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return fmt::format("the {} influence of target {} of {} is {}", which, i + 1, values.size(), values[i]);
  if (values.size() < 2)
    return fmt::format("{} target{} no order", values.size(), values.empty() ? "s have" : " has");
  if (std::count(values.begin(), values.end(), values.front()) != static_cast<std::ptrdiff_t>(values.size()))
    return "";
  return fmt::format("the {} {} influences are equal", values.size(), which);
}

std::string both(const std::string& one, const std::string& other) {
  if (one.empty() || one == other) return other;
  return other.empty() ? one : one + ", " + other;
}

std::size_t critical_of(std::size_t targets, std::size_t extremes) {
  return targets / 2 >= extremes ? extremes : std::max<std::size_t>(1, targets / 4);
}

}  // namespace

Agreement agreement(const std::vector<double>& truth, const std::vector<double>& estimate,
                    std::size_t extremes) {
  const std::size_t n = truth.size();
  if (estimate.size() != n) fail("agreement: {} true influences but {} estimates", n, estimate.size());
  Agreement result{
      nan, nan, nan, nan, nan,
      nan, n,   0,   0,   both(without_order("true", truth), without_order("estimated", estimate))};
  if (!result.reason.empty()) return result;
  const Correlation tau = kendall_tau(truth, estimate);
  result.kendall_tau = tau.value;
  result.kendall_p = tau.p;
  result.spearman = spearman(truth, estimate);
  result.pearson = pearson(truth, estimate);
  const std::size_t ends = critical_of(n, extremes);
  if (2 * ends >= n) {
    result.reason = fmt::format(
        "the {} smallest and the {} largest are all {} targets, so there is no Jaccard index", ends, ends, n);
    return result;
  }
  result.critical = ends;
  result.jaccard = jaccard_critical(truth, estimate, ends);
  result.jaccard_chance = jaccard_uninformed(truth, estimate, ends);
  result.tied = tied_at_edges(truth, estimate, ends);
  return result;
}

AgreementSummary summarise(const std::vector<Agreement>& runs) {
  const auto over = [&](double Agreement::*member) { return one_sample_t_test(column(runs, member), 0); };
  std::vector<double> gains, ties;
  for (const Agreement& run : runs) {
    if (!std::isfinite(run.jaccard)) continue;
    gains.push_back(run.jaccard - run.jaccard_chance);
    ties.push_back(static_cast<double>(run.tied));
  }
  Summary jaccard = over(&Agreement::jaccard);
  jaccard.p = one_sample_t_test(gains, 0).p;
  return {over(&Agreement::kendall_tau),
          jaccard,
          over(&Agreement::spearman),
          over(&Agreement::pearson),
          mean(column(runs, &Agreement::kendall_p)),
          mean(column(runs, &Agreement::jaccard_chance)),
          mean(ties),
          column(runs, &Agreement::kendall_tau).size(),
          gains.size()};
}

}  // namespace whence::stats
