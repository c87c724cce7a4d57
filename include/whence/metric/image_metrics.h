#pragma once
// Metrics of generated images as a classifier sees them: IS, its logarithm, and FID.

#include <memory>
#include <string>

#include "whence/game/trained_classifier.h"
#include "whence/metric/frechet_distance.h"
#include "whence/metric/metric.h"

namespace whence {

/// V = log IS = 1/M sum_m KL(p(y|x_m) || 1/M sum_m p(y|x_m)), p the classifier's class probabilities of
/// generated images, or IS = e^V (Salimans et al., 2016). Sums in float64, images in chunks.
class InceptionScore : public Metric {
 public:
  InceptionScore(bool logarithm, std::shared_ptr<const Generator> generator,
                 std::shared_ptr<const TrainedClassifier> classifier, at::Tensor latents);
  std::string name() const override { return logarithm_ ? "log-is" : "is"; }
  at::Tensor value(const at::Tensor& params) const override;
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override;

 private:
  Evaluation evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                const ShareDone& done) const override;

  bool logarithm_;
  std::shared_ptr<const Generator> generator_;
  std::shared_ptr<const TrainedClassifier> classifier_;
  at::Tensor latents_;
};

/// V = the Frechet distance of the classifier's features of generated images to those of real ones (Heusel et
/// al., 2017). Moments in float64, images in chunks.
class FrechetInceptionDistance : public Metric {
 public:
  FrechetInceptionDistance(std::shared_ptr<const Generator> generator,
                           std::shared_ptr<const TrainedClassifier> classifier, const Validation& validation);
  std::string name() const override { return "fid"; }
  at::Tensor value(const at::Tensor& params) const override;
  at::Tensor gradient(const at::Tensor& params, const Communicator& ranks) const override;

 private:
  Evaluation evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                const ShareDone& done) const override;

  std::shared_ptr<const Generator> generator_;
  std::shared_ptr<const TrainedClassifier> classifier_;
  at::Tensor latents_;
  Moments real_;
};

/// log IS of class probabilities [m, classes], float64.
double log_inception_score(const at::Tensor& log_probabilities);

}  // namespace whence
