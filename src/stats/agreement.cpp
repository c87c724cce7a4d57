#include "whence/stats/agreement.h"

#include <algorithm>

#include "whence/stats/jaccard.h"
#include "whence/stats/rank_correlation.h"

namespace whence::stats {
namespace {

std::vector<double> column(const std::vector<Agreement>& runs, double Agreement::*member) {
  std::vector<double> values;
  for (const Agreement& run : runs) values.push_back(run.*member);
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

Agreement agreement(const std::vector<double>& truth, const std::vector<double>& estimate,
                    std::size_t extremes) {
  const std::size_t ends =
      truth.size() >= 2 * extremes ? extremes : std::max<std::size_t>(1, truth.size() / 4);
  const Correlation tau = kendall_tau(truth, estimate);
  return {tau.value,
          tau.p,
          jaccard_critical(truth, estimate, ends),
          jaccard_by_chance(truth.size(), 2 * ends),
          spearman(truth, estimate),
          pearson(truth, estimate)};
}

AgreementSummary summarise(const std::vector<Agreement>& runs) {
  const double chance = mean(column(runs, &Agreement::jaccard_chance));
  return {one_sample_t_test(column(runs, &Agreement::kendall_tau), 0),
          one_sample_t_test(column(runs, &Agreement::jaccard), chance),
          one_sample_t_test(column(runs, &Agreement::spearman), 0),
          one_sample_t_test(column(runs, &Agreement::pearson), 0),
          mean(column(runs, &Agreement::kendall_p)),
          chance};
}

}  // namespace whence::stats
