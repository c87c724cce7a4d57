#include "whence/metric/image_metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/comm/partition.h"

namespace whence {
namespace {

constexpr std::int64_t chunk = 512;

// What the classifier makes of G(z) for the latents, chunk by chunk; only `part` of it is kept.
at::Tensor seen(
    const Generator& generator, const TrainedClassifier& classifier, const at::Tensor& params,
    const at::Tensor& latents, at::Tensor TrainedClassifier::Outputs::*part,
    const ShareDone& done = [](double) {}) {
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < latents.size(0); begin += chunk) {
    const at::Tensor z = latents.narrow(0, begin, std::min(chunk, latents.size(0) - begin));
    parts.push_back(classifier(generator.samples(params, z)).*part);
    done(static_cast<double>(begin + z.size(0)) / static_cast<double>(latents.size(0)));
  }
  return at::cat(parts);
}

// The same of this rank's latents, gathered on every rank [m, width] float64: about a quarter of an
// evaluation.
at::Tensor seen_by_all(const Generator& generator, const TrainedClassifier& classifier,
                       const at::Tensor& params, const at::Tensor& latents,
                       at::Tensor TrainedClassifier::Outputs::*part, std::int64_t width,
                       const Communicator& ranks, const ShareDone& done) {
  const Range own = part_of(latents.size(0), ranks.size(), ranks.rank());
  at::Tensor all = at::zeros({latents.size(0), width}, latents.options().dtype(at::kDouble));
  if (own.size() > 0)
    all.narrow(0, own.begin, own.size())
        .copy_(seen(generator, classifier, params, latents.narrow(0, own.begin, own.size()), part,
                    [&](double share) { done(share / 4); }));
  ranks.sum(all);
  ranks.wait_for_device();
  return all;
}

// grad_theta of a metric whose derivatives by features and logits of sample m are rows of `by_feature` and
// `by_logit` [m, width] (undefined: 0), latents split over ranks.
at::Tensor through_images(const Generator& generator, const TrainedClassifier& classifier,
                          const at::Tensor& params, const at::Tensor& latents, const at::Tensor& by_feature,
                          const at::Tensor& by_logit, const Communicator& ranks, const ShareDone& done) {
  at::Tensor gradient = at::zeros_like(params);
  const Range own = part_of(latents.size(0), ranks.size(), ranks.rank());
  const auto rows = [&](const at::Tensor& by, std::int64_t begin, std::int64_t count, std::int64_t width) {
    return by.defined() ? by.narrow(0, begin, count).to(params.scalar_type())
                        : at::zeros({count, width}, params.options());
  };
  for (std::int64_t begin = own.begin; begin < own.end; begin += chunk) {
    const std::int64_t count = std::min(chunk, own.end - begin);
    const at::Tensor z = latents.narrow(0, begin, count), images = generator.samples(params, z);
    const at::Tensor by_image =
        classifier.pull_back(images, rows(by_feature, begin, count, classifier.network->feature_count()),
                             rows(by_logit, begin, count, classifier.network->classes()));
    gradient += generator.samples_pull_back(params, z, by_image);
    done(0.25 + 0.75 * static_cast<double>(begin + count - own.begin) / static_cast<double>(own.size()));
  }
  ranks.sum(gradient);
  return gradient;
}

at::Tensor log_probabilities(const at::Tensor& logits) { return at::log_softmax(logits.to(at::kDouble), 1); }

// log of the mean probability of each class.
at::Tensor log_marginal(const at::Tensor& log_p) {
  return log_p.logsumexp(0) - std::log(static_cast<double>(log_p.size(0)));
}

}  // namespace

double log_inception_score(const at::Tensor& log_p) {
  return (log_p.exp() * (log_p - log_marginal(log_p))).sum(1).mean().item<double>();
}

InceptionScore::InceptionScore(bool logarithm, std::shared_ptr<const Generator> generator,
                               std::shared_ptr<const TrainedClassifier> classifier, at::Tensor latents)
    : logarithm_(logarithm),
      generator_(std::move(generator)),
      classifier_(std::move(classifier)),
      latents_(std::move(latents)) {}

at::Tensor InceptionScore::value(const at::Tensor& params) const {
  at::Tensor values = at::zeros({params.size(0)}, at::kDouble);
  for (std::int64_t r = 0; r < params.size(0); ++r) {
    const double log_score = log_inception_score(log_probabilities(
        seen(*generator_, *classifier_, params[r], latents_, &TrainedClassifier::Outputs::logits)));
    values[r] = logarithm_ ? log_score : std::exp(log_score);
  }
  return values;
}

// By log p_mc the derivative of log IS is p_mc (log p_mc - log q_c) / M plus terms that cancel (sum_c p_mc =
// 1 and q is the mean of p); by logit k of sample m it is p_mk (l_mk - sum_c p_mc l_mc) / M with l = log p -
// log q.
Evaluation InceptionScore::evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                              const ShareDone& done) const {
  const at::Tensor log_p = log_probabilities(seen_by_all(*generator_, *classifier_, params, latents_,
                                                         &TrainedClassifier::Outputs::logits,
                                                         classifier_->network->classes(), ranks, done));
  const at::Tensor p = log_p.exp(), ratio = log_p - log_marginal(log_p);
  at::Tensor by_logit = p * (ratio - (p * ratio).sum(1, true)) / static_cast<double>(log_p.size(0));
  const double log_score = log_inception_score(log_p), score = std::exp(log_score);
  if (!logarithm_) by_logit = by_logit * score;
  return {logarithm_ ? log_score : score,
          through_images(*generator_, *classifier_, params, latents_, at::Tensor(), by_logit, ranks, done)};
}

at::Tensor InceptionScore::gradient(const at::Tensor& params, const Communicator& ranks) const {
  return evaluate(params, ranks).gradient;
}

FrechetInceptionDistance::FrechetInceptionDistance(std::shared_ptr<const Generator> generator,
                                                   std::shared_ptr<const TrainedClassifier> classifier,
                                                   const Validation& validation)
    : generator_(std::move(generator)),
      classifier_(std::move(classifier)),
      latents_(validation.latents),
      real_(moments_of((*classifier_)(validation.held_out).features)) {}

at::Tensor FrechetInceptionDistance::value(const at::Tensor& params) const {
  at::Tensor values = at::zeros({params.size(0)}, at::kDouble);
  for (std::int64_t r = 0; r < params.size(0); ++r)
    values[r] = frechet_distance(real_, moments_of(seen(*generator_, *classifier_, params[r], latents_,
                                                        &TrainedClassifier::Outputs::features)));
  return values;
}

// With dV/dC and dV/dmu: by feature vector f_m it is dV/dmu / M + 2 / (M - 1) dV/dC (f_m - mu).
Evaluation FrechetInceptionDistance::evaluate_in_chunks(const at::Tensor& params, const Communicator& ranks,
                                                        const ShareDone& done) const {
  const at::Tensor features =
      seen_by_all(*generator_, *classifier_, params, latents_, &TrainedClassifier::Outputs::features,
                  classifier_->network->feature_count(), ranks, done);
  const Moments generated = moments_of(features), by = frechet_gradient(real_, generated);
  const auto count = static_cast<double>(features.size(0));
  const at::Tensor by_feature =
      by.mean / count + at::matmul(features - generated.mean, by.covariance) * (2 / (count - 1));
  return {frechet_distance(real_, generated),
          through_images(*generator_, *classifier_, params, latents_, by_feature, at::Tensor(), ranks, done)};
}

at::Tensor FrechetInceptionDistance::gradient(const at::Tensor& params, const Communicator& ranks) const {
  return evaluate(params, ranks).gradient;
}

}  // namespace whence
