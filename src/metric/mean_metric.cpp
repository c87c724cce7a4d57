#include "whence/metric/mean_metric.h"

#include <utility>

#include "whence/core/error.h"

namespace whence {

MeanMetric::MeanMetric(std::vector<std::shared_ptr<const Metric>> draws) : draws_(std::move(draws)) {
  if (draws_.empty()) fail("a mean over no draws of a metric");
}

std::string MeanMetric::name() const { return draws_.front()->name(); }

at::Tensor MeanMetric::value(const at::Tensor& params) const {
  at::Tensor sum = draws_.front()->value(params).clone();
  for (std::size_t draw = 1; draw < draws_.size(); ++draw) sum += draws_[draw]->value(params);
  return sum.div_(static_cast<double>(draws_.size()));
}

at::Tensor MeanMetric::gradient(const at::Tensor& params, const Communicator& ranks) const {
  at::Tensor sum = draws_.front()->gradient(params, ranks).clone();
  for (std::size_t draw = 1; draw < draws_.size(); ++draw) sum += draws_[draw]->gradient(params, ranks);
  return sum.div_(static_cast<double>(draws_.size()));
}

}  // namespace whence
