#pragma once
// One metric over several draws of what it judges by.

#include <memory>
#include <string>
#include <vector>

#include "whence/metric/metric.h"

namespace whence {

/// V = the mean of `draws`, metrics of one name that look at the same held-out instances through other
/// latents (or other noise of a VAE). A single draw's V holds the luck of its latents, and so does a truth by
/// it.
class MeanMetric : public Metric {
 public:
  explicit MeanMetric(std::vector<std::shared_ptr<const Metric>> draws);
  std::string name() const override;
  at::Tensor value(const at::Tensor& params) const override;
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override;

 private:
  std::vector<std::shared_ptr<const Metric>> draws_;
};

}  // namespace whence
