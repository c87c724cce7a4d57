#include "whence/metric/own_metric.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"

namespace whence {
namespace {

class OwnMetric : public Metric {
 public:
  OwnMetric(std::string name, std::shared_ptr<const OwnMetrics> source, const Validation& validation)
      : name_(std::move(name)),
        source_(std::move(source)),
        points_{validation.held_out, validation.latents, validation.held_out.size(0)} {
    points_.labels = validation.labels;
  }
  std::string name() const override { return name_; }

  at::Tensor value(const at::Tensor& params) const override {
    const at::NoGradGuard no_graph;
    at::Tensor values = at::zeros({params.size(0)}, at::kDouble);
    for (std::int64_t r = 0; r < params.size(0); ++r)
      values[r] = source_->metric(name_, params[r], points_).to(at::kCPU, at::kDouble);
    return values;
  }

  // It is no sum over points that ranks could share.
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override {
    at::Tensor gradient = at::zeros_like(params);
    if (ranks.is_root()) {
      const at::Tensor theta = params.detach().clone().requires_grad_();
      const at::Tensor number = source_->metric(name_, theta, points_);
      if (!number.requires_grad()) fail("the metric {} does not depend on the parameters", name_);
      gradient.copy_(torch::autograd::grad({number}, {theta})[0]);
    }
    ranks.sum(gradient);
    return gradient;
  }

 private:
  std::string name_;
  std::shared_ptr<const OwnMetrics> source_;
  Batch points_;
};

}  // namespace

std::shared_ptr<const Metric> own_metric(const std::string& name, const std::shared_ptr<const Game>& game,
                                         const Validation& validation) {
  auto source = shared_capability(game, &Game::own_metrics);
  if (source == nullptr) return nullptr;
  const auto names = source->metric_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) return nullptr;
  return std::make_shared<OwnMetric>(name, std::move(source), validation);
}

}  // namespace whence
