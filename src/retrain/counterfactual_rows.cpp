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

void assemble(RetrainedValues& values, std::int64_t sets, const std::vector<CounterfactualBlock>& blocks,
              const at::Tensor& rows) {
  const auto metrics = static_cast<std::int64_t>(values.metrics.size());
  const auto horizons = static_cast<std::int64_t>(values.epochs_back.size());
  values.influence = at::zeros({metrics, horizons, sets}, at::kDouble);
  values.baseline = at::zeros({metrics, horizons, sets}, at::kDouble);
  values.distance = at::zeros({horizons}, at::kDouble);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto& horizon = values.epochs_back;
    const std::int64_t k = std::find(horizon.begin(), horizon.end(), blocks[b].epochs_back) - horizon.begin();
    const double* row = rows[b].data_ptr<double>();
    values.distance[k] = std::max(values.distance[k].item<double>(), row[0]);
    for (std::size_t i = 0; i < blocks[b].removals.size(); ++i)
      for (std::int64_t m = 0; m < metrics; ++m) {
        values.influence[m][k][blocks[b].removals[i]] = row[1 + metrics + i * metrics + m];
        values.baseline[m][k][blocks[b].removals[i]] = row[1 + m];
      }
  }
}

}  // namespace whence
