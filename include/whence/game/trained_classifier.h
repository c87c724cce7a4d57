#pragma once
// A classifier after its training, as metrics of images use it.

#include <memory>

#include <ATen/core/Tensor.h>

#include "whence/game/capabilities.h"

namespace whence {

/// A classifier with the theta it was trained to.
struct TrainedClassifier {
  std::shared_ptr<const ImageClassifier> network;
  at::Tensor params;  ///< [P]

  using Outputs = ImageClassifier::Outputs;
  Outputs operator()(const at::Tensor& images) const { return network->outputs(params, images); }
  /// See ImageClassifier::pull_back.
  at::Tensor pull_back(const at::Tensor& images, const at::Tensor& by_feature,
                       const at::Tensor& by_logit) const {
    return network->pull_back(params, images, by_feature, by_logit);
  }
  /// The share of images whose largest logit is their label's.
  double accuracy(const at::Tensor& images, const at::Tensor& labels) const;
};

}  // namespace whence
