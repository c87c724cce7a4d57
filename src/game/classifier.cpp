#include "whence/game/classifier.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/native/conv_function.h"

namespace whence {
namespace {

std::vector<ConvLayer> layers_of(const ClassifierOptions& options) {
  const ConvLayer convolution{ConvKind::convolution, 5, 1, 2, options.channels, Activation::sigmoid, false};
  const ConvLayer pool{ConvKind::pool, 2, 2, 0, 0, Activation::linear, false};
  return {convolution,
          pool,
          convolution,
          pool,
          {ConvKind::convolution, options.side / 4, 1, 0, Classifier::features, Activation::sigmoid, false},
          {ConvKind::convolution, 1, 1, 0, options.classes, Activation::linear, false}};
}

const at::Tensor& labels_of(const Batch& batch) {
  if (!batch.labels.defined()) fail("classifier: the data has no labels");
  return batch.labels;
}

class ClassifierEngine : public Engine {
 public:
  explicit ClassifierEngine(std::shared_ptr<const Classifier> game) : game_(std::move(game)), torch_(game_) {}
  std::string name() const override { return "native"; }

  at::Tensor gradient(const at::Tensor& params, const Batch& batch,
                      const at::Tensor& weights) const override {
    at::Tensor g = at::zeros_like(params);
    for (std::int64_t r = 0; r < params.size(0); ++r) {
      const at::Tensor logits =
          game_->function().forward(params[r], batch.instances, {game_->logit_stage()})[0];
      at::Tensor by_logit = at::softmax(logits, 1);
      by_logit.scatter_add_(1, labels_of(batch).unsqueeze(1),
                            at::full({logits.size(0), 1}, -1, logits.options()));
      by_logit = by_logit * weights[r].unsqueeze(1) / batch.divisor;
      game_->function().pull_back(params[r], batch.instances, {game_->logit_stage()}, {by_logit}, false,
                                  g[r]);
    }
    if (game_->options().l2 > 0 && batch.carries_penalty)
      for (const ParameterSpec& spec : game_->layout().specs())
        if (spec.is_kernel)
          g.narrow(1, spec.offset, spec.size())
              .add_(params.narrow(1, spec.offset, spec.size()) * game_->options().l2);
    return g;
  }

  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double kink_width) const override {
    return torch_.trace(params, batch, queries, kink_width);
  }

 private:
  std::shared_ptr<const Classifier> game_;
  AutogradEngine torch_;
};

}  // namespace

Classifier::Classifier(ClassifierOptions options)
    : options_(options),
      layout_({"classifier"}),
      network_(layout_, 0, "classifier", {1, options.side, options.side}, layers_of(options)),
      function_(std::make_shared<ConvFunction>(network_, options.dtype)) {}

at::Tensor Classifier::initial_parameters(std::uint64_t seed) const {
  return glorot_uniform(layout_, seed, options_.dtype);
}

std::vector<at::Tensor> Classifier::losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                           const at::Tensor& weights, double) const {
  const at::Tensor log_p = at::log_softmax(network_.forward(tensors, batch.instances), 2);
  const at::Tensor chosen = labels_of(batch).reshape({1, -1, 1}).expand({log_p.size(0), -1, 1});
  at::Tensor loss = -(weights * log_p.gather(2, chosen).squeeze(2)).sum(1) / batch.divisor;
  if (options_.l2 > 0 && batch.carries_penalty)
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (layout_.specs()[i].is_kernel)
        loss = loss + tensors[i].square().flatten(1).sum(1) * (0.5 * options_.l2);
  return {loss};
}

// The same by LibTorch's operations, differentiable, where the native kernels don't reach.
TrainedClassifier::Outputs TrainedClassifier::on_device(const at::Tensor& images) const {
  const auto outputs = network->network().outputs(network->layout().views(params.unsqueeze(0)), images,
                                                  {network->feature_stage(), network->logit_stage()});
  return {outputs[0][0], outputs[1][0]};
}

TrainedClassifier::Outputs TrainedClassifier::operator()(const at::Tensor& images) const {
  if (!images.device().is_cpu()) {
    constexpr std::int64_t chunk = 512;  // LibTorch keeps every map of all images that it is given at once
    std::vector<at::Tensor> features, logits;
    for (const at::Tensor& some : images.split(chunk)) {
      const Outputs outputs = on_device(some);
      features.push_back(outputs.features);
      logits.push_back(outputs.logits);
    }
    return {at::cat(features), at::cat(logits)};
  }
  const auto outputs =
      network->function().forward(params, images, {network->feature_stage(), network->logit_stage()});
  return {outputs[0], outputs[1]};
}

at::Tensor TrainedClassifier::pull_back(const at::Tensor& images, const at::Tensor& by_feature,
                                        const at::Tensor& by_logit) const {
  if (!images.device().is_cpu()) {
    const at::Tensor leaf = images.detach().requires_grad_();
    const Outputs outputs = on_device(leaf);
    return torch::autograd::grad({outputs.features, outputs.logits}, {leaf}, {by_feature, by_logit})[0];
  }
  return network->function().pull_back(params, images, {network->feature_stage(), network->logit_stage()},
                                       {by_feature, by_logit}, true, at::Tensor());
}

double TrainedClassifier::accuracy(const at::Tensor& images, const at::Tensor& labels) const {
  const at::Tensor guess = at::argmax((*this)(images).logits, 1);
  return at::eq(guess, labels).to(at::kDouble).mean().item<double>();
}

std::unique_ptr<Engine> make_classifier_engine(const std::shared_ptr<const Classifier>& game) {
  return std::make_unique<ClassifierEngine>(game);
}

}  // namespace whence
