#pragma once
// A player's loss on validation data, without L2, as a metric.

#include <memory>
#include <string>

#include "whence/metric/metric.h"

namespace whence {

/// V = the player's loss on all held-out instances and validation latents (Terashita et al., section 5.2:
/// "influence on the discriminator loss"). Its gradient is by all of theta, both players'.
class LossMetric : public Metric {
 public:
  LossMetric(std::string name, std::int64_t player, std::shared_ptr<const Game> game, Validation validation);
  std::string name() const override { return name_; }
  at::Tensor value(const at::Tensor& params) const override;
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override;

 private:
  Evaluation evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                const ShareDone& done) const override;
  at::Tensor values_of(const at::Tensor& params, const std::function<void(std::int64_t)>& points_done) const;
  at::Tensor gradient_of(const at::Tensor& params, const Communicator& ranks,
                         const std::function<void(std::int64_t)>& points_done) const;
  at::Tensor chunk_loss(const at::Tensor& params, std::int64_t begin, std::int64_t end) const;

  std::string name_;
  std::int64_t player_;
  std::shared_ptr<const Game> game_;
  Validation validation_;
};

}  // namespace whence
