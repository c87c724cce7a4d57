#pragma once
// The classifier of digits whose features and probabilities FID and IS are made of (Terashita et al., table
// 1).

#include <memory>
#include <string>
#include <vector>

#include "whence/game/game.h"
#include "whence/net/network.h"

namespace whence {

class ConvFunction;

struct ClassifierOptions {
  std::int64_t side;  ///< of square images of one channel
  std::int64_t classes;
  std::int64_t channels;  ///< of both convolutions
  double l2;              ///< gamma/2 * sum(kernel^2) is added to the loss
  at::ScalarType dtype;
};

/// A one-player game: convolution 5x5 'same', sigmoid, max-pool 2, the same again, 128 sigmoids, linear to
/// one logit a class. Loss: sum_j w_j (-log softmax(logits_j)[label_j]) / |S| + L2.
class Classifier : public Game, public ImageClassifier {
 public:
  static constexpr std::int64_t features = 128;

  explicit Classifier(ClassifierOptions options);

  std::string name() const override { return "classifier"; }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return 0; }
  at::ScalarType dtype() const override { return options_.dtype; }
  bool one_replica_at_a_time() const override { return true; }
  at::Tensor initial_parameters(std::uint64_t seed) const override;
  /// Error when the batch has no labels.
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double kink_width) const override;

  std::unique_ptr<const Engine> native_engine(const std::string& variant) const override;

  const ImageClassifier* classifier() const override { return this; }
  std::int64_t pixels() const override { return network_.input().values(); }
  std::int64_t classes() const override { return options_.classes; }
  std::int64_t feature_count() const override { return features; }
  /// On the CPU by native kernels; elsewhere by LibTorch, a few hundred images at a time.
  Outputs outputs(const at::Tensor& params, const at::Tensor& images) const override;
  at::Tensor pull_back(const at::Tensor& params, const at::Tensor& images, const at::Tensor& by_feature,
                       const at::Tensor& by_logit) const override;
  std::shared_ptr<const ImageClassifier> in_dtype(at::ScalarType dtype) const override;

  const ClassifierOptions& options() const { return options_; }
  const Network& network() const { return network_; }
  /// The network by native kernels, and the stages whose outputs are the features and the logits.
  const ConvFunction& function() const { return *function_; }
  std::size_t feature_stage() const { return network_.stages().size() - 2; }
  std::size_t logit_stage() const { return network_.stages().size() - 1; }

 private:
  Outputs by_torch(const at::Tensor& params, const at::Tensor& images) const;

  ClassifierOptions options_;
  ParameterLayout layout_;
  Network network_;
  std::shared_ptr<const ConvFunction> function_;
};

}  // namespace whence
