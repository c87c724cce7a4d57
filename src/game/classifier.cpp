#include "whence/game/classifier.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/registry.h"
#include "whence/native/conv_function.h"

namespace whence {
namespace {

std::vector<Layer> layers_of(const ClassifierOptions& options) {
  const Layer convolution{LayerKind::convolution, 5, 1, 2, options.channels, Activation::sigmoid, false};
  const Layer pool{LayerKind::pool, 2, 2, 0, 0, Activation::linear, false};
  return {convolution,
          pool,
          convolution,
          pool,
          {LayerKind::convolution, options.side / 4, 1, 0, Classifier::features, Activation::sigmoid, false},
          {LayerKind::convolution, 1, 1, 0, options.classes, Activation::linear, false}};
}

const at::Tensor& labels_of(const Batch& batch) {
  if (!batch.labels.defined()) fail("classifier: the data has no labels");
  return batch.labels;
}

class ClassifierEngine : public Engine {
 public:
  explicit ClassifierEngine(const Classifier& game)
      : game_(game), torch_(std::shared_ptr<const Game>(std::shared_ptr<const Game>(), &game)) {}
  std::string name() const override { return "native"; }

  at::Tensor gradient(const at::Tensor& params, const Batch& batch,
                      const at::Tensor& weights) const override {
    at::Tensor g = at::zeros_like(params);
    for (std::int64_t r = 0; r < params.size(0); ++r) {
      const at::Tensor logits =
          game_.function().forward(params[r], batch.instances, {game_.logit_stage()})[0];
      at::Tensor by_logit = at::softmax(logits, 1);
      by_logit.scatter_add_(1, labels_of(batch).unsqueeze(1),
                            at::full({logits.size(0), 1}, -1, logits.options()));
      by_logit = by_logit * weights[r].unsqueeze(1) / batch.divisor;
      game_.function().pull_back(params[r], batch.instances, {game_.logit_stage()}, {by_logit}, false, g[r]);
    }
    if (game_.options().l2 > 0 && batch.carries_penalty)
      for (const ParameterSpec& spec : game_.layout().specs())
        if (spec.is_kernel)
          g.narrow(1, spec.offset, spec.size())
              .add_(params.narrow(1, spec.offset, spec.size()) * game_.options().l2);
    return g;
  }

  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double kink_width) const override {
    return torch_.trace(params, batch, queries, kink_width);
  }

 private:
  const Classifier& game_;
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

// Differentiable, where the native kernels don't reach.
Classifier::Outputs Classifier::by_torch(const at::Tensor& params, const at::Tensor& images) const {
  const auto outputs =
      network_.outputs(layout_.views(params.unsqueeze(0)), images, {feature_stage(), logit_stage()});
  return {outputs[0][0], outputs[1][0]};
}

Classifier::Outputs Classifier::outputs(const at::Tensor& params, const at::Tensor& images) const {
  if (!images.device().is_cpu()) {
    constexpr std::int64_t chunk = 512;  // LibTorch keeps every map of all images that it is given at once
    std::vector<at::Tensor> features, logits;
    for (const at::Tensor& some : images.split(chunk)) {
      const Outputs outputs = by_torch(params, some);
      features.push_back(outputs.features);
      logits.push_back(outputs.logits);
    }
    return {at::cat(features), at::cat(logits)};
  }
  const auto outputs = function_->forward(params, images, {feature_stage(), logit_stage()});
  return {outputs[0], outputs[1]};
}

at::Tensor Classifier::pull_back(const at::Tensor& params, const at::Tensor& images,
                                 const at::Tensor& by_feature, const at::Tensor& by_logit) const {
  if (!images.device().is_cpu()) {
    const at::Tensor leaf = images.detach().requires_grad_();
    const Outputs outputs = by_torch(params, leaf);
    return torch::autograd::grad({outputs.features, outputs.logits}, {leaf}, {by_feature, by_logit})[0];
  }
  return function_->pull_back(params, images, {feature_stage(), logit_stage()}, {by_feature, by_logit}, true,
                              at::Tensor());
}

std::shared_ptr<const ImageClassifier> Classifier::in_dtype(at::ScalarType dtype) const {
  ClassifierOptions same = options_;
  same.dtype = dtype;
  return std::make_shared<Classifier>(same);
}

std::unique_ptr<const Engine> Classifier::native_engine(const std::string&) const {
  return std::make_unique<ClassifierEngine>(*this);
}

// Terashita et al., table 1 and appendix C.1: trained on the instances that the GAN's run holds out.
GameKind classifier_kind() {
  const PresetValues published{{"dtype", "float32"},  {"channels", "8"},       {"rate-classifier", "0.01"},
                               {"optimiser", "adam"}, {"batch", "100"},        {"l2", "0"},
                               {"held-out", "10000"}, {"train-on", "held-out"}};
  return {
      "classifier",
      "a convolutional classifier, for metrics of images",
      {{"rate-classifier", "learning rate of the classifier"}, l2_option, channels_option},
      {"rate-classifier"},
      {{"published", published}, {"paper", published}},
      [](const ChosenOptions& options, const InstanceKind& instances) -> std::shared_ptr<const Game> {
        if (instances.classes == 0)
          refuse("--game: classifier needs labels, which --data {} does not give", instances.source);
        if (instances.shape.size() != 2 || instances.shape[0] != instances.shape[1] || instances.shape[0] < 4)
          refuse(
              "--game: classifier is for square images of at least 4 x 4 pixels, which --data {} does "
              "not give",
              instances.source);
        return std::make_shared<Classifier>(ClassifierOptions{instances.shape[0], instances.classes,
                                                              options.integer("channels", 1),
                                                              options.real("l2"), options.dtype()});
      },
      PixelRange::minus_one_to_one,
      /*needs_labels=*/true};
}

}  // namespace whence
