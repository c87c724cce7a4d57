#include "whence/game/trained_classifier.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>

namespace whence {

double TrainedClassifier::accuracy(const at::Tensor& images, const at::Tensor& labels) const {
  const at::Tensor guess = at::argmax((*this)(images).logits, 1);
  return at::eq(guess, labels).to(at::kDouble).mean().item<double>();
}

}  // namespace whence
