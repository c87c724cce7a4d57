#include "whence/retrain/counterfactual_rows.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

namespace whence {

std::int64_t row_width(std::int64_t replicas, std::int64_t metrics) { return 1 + (replicas + 1) * metrics; }

at::Tensor as_row(const CounterfactualResult& result, std::int64_t width) {
  const at::Tensor filled =
      at::cat({at::full({1}, result.distance, at::kDouble), result.baseline, result.change.reshape({-1})});
  at::Tensor row = at::zeros({width}, at::kDouble);
  row.narrow(0, 0, filled.numel()).copy_(filled);
  return row;
}

void assemble(CounterfactualTruth& truth, const std::vector<CounterfactualBlock>& blocks,
              const at::Tensor& rows) {
  const auto metrics = static_cast<std::int64_t>(truth.metrics.size());
  const auto horizons = static_cast<std::int64_t>(truth.epochs_back.size());
  const auto targets = static_cast<std::int64_t>(truth.target_ids.size());
  truth.influence = at::zeros({metrics, horizons, targets}, at::kDouble);
  truth.baseline = at::zeros({metrics, horizons, targets}, at::kDouble);
  truth.distance = at::zeros({horizons}, at::kDouble);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto& horizon = truth.epochs_back;
    const std::int64_t k = std::find(horizon.begin(), horizon.end(), blocks[b].epochs_back) - horizon.begin();
    const double* row = rows[b].data_ptr<double>();
    truth.distance[k] = std::max(truth.distance[k].item<double>(), row[0]);
    for (std::size_t i = 0; i < blocks[b].removals.size(); ++i)
      for (std::int64_t m = 0; m < metrics; ++m) {
        truth.influence[m][k][blocks[b].removals[i]] = row[1 + metrics + i * metrics + m];
        truth.baseline[m][k][blocks[b].removals[i]] = row[1 + m];
      }
  }
}

}  // namespace whence
