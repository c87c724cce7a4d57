#pragma once
// Estimates and retraining of a linear V, for every instance of a run.

#include <gtest/gtest.h>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include "whence/retrain/counterfactual.h"

#include "support/memory_run.h"
#include "support/numbers.h"

namespace whence::test {

/// V = v . theta.
class LinearMetric : public Metric {
 public:
  explicit LinearMetric(at::Tensor direction) : direction_(std::move(direction)) {}
  std::string name() const override { return "linear"; }
  at::Tensor value(const at::Tensor& params) const override { return params.matmul(direction_); }
  at::Tensor gradient(const at::Tensor&, const Communicator&) const override { return direction_; }

 private:
  at::Tensor direction_;
};

/// Estimated and true influences on a V.
struct Compared {
  at::Tensor estimate, truth;  // [N]
  double error() const { return (estimate - truth).abs().max().item<double>(); }
  double scale() const { return truth.abs().max().item<double>(); }
};

inline Compared compare(const MemoryRun& run, std::int64_t epochs_back) {
  const Communicator world(MPI_COMM_WORLD);
  const at::Tensor direction = normals({run.game->layout().size()}, 2);
  std::vector<std::vector<std::int64_t>> each;
  for (std::int64_t j = 0; j < run.data.size(); ++j) each.push_back({j});
  const std::vector<std::shared_ptr<const Metric>> metrics{std::make_shared<LinearMetric>(direction)};
  Compared result;
  result.truth = at::empty({run.data.size()}, at::kDouble);
  for (const auto& block : plan_counterfactuals(starts_of(run.steps(), each, {epochs_back}, 32), 7)) {
    const auto found = retrain(run.steps(), block, each, metrics, [] {});
    EXPECT_EQ(found.distance, 0.0);
    for (std::size_t i = 0; i < block.removals.size(); ++i)
      result.truth[block.removals[i]].copy_(found.change[i][0]);
  }
  result.estimate = trace_back(run.steps(), direction.unsqueeze(0), {{epochs_back}, {0.0}, {1}}, world,
                               [](std::int64_t) {})[0][0][0];
  return result;
}

}  // namespace whence::test
