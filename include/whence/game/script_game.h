#pragma once
// A game exported from PyTorch (whence.export): `--game script:MODEL.pt`.

#include <memory>
#include <string>
#include <vector>

#include "whence/game/game.h"
#include "whence/game/script_model.h"

namespace whence {

/// The losses are made of the model's terms, one value an instance and one a row of noise:
///   L_p = (sum_j w_j instances_pj + sum_l noise_pl) / |S| + penalty_p
/// so that removing an instance is linear in w_j whatever the model computes.
class ScriptGame : public Game, public Generator, public OwnMetrics {
 public:
  /// For instances of `shape`; UsageError naming --data when the model is for others, or needs labels that
  /// there are none of (`classes` 0).
  /// `drawn`: it starts from numbers that the seed draws, not from those of the file.
  ScriptGame(std::shared_ptr<const ScriptModel> model, at::ScalarType dtype,
             const std::vector<std::int64_t>& shape, std::int64_t classes, bool drawn = false);
  ~ScriptGame() override;

  std::string name() const override { return "script"; }
  std::string fingerprint() const override { return model_->fingerprint(); }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return model_->description().noise; }
  at::ScalarType dtype() const override { return dtype_; }
  at::Tensor initial_parameters(std::uint64_t seed) const override {
    return drawn_ ? model_->drawn(seed) : model_->initial().clone();
  }
  bool one_replica_at_a_time() const override { return true; }
  std::int64_t graph_numbers(std::int64_t width) const override;
  std::vector<std::string> kinks_left_out() const override { return model_->kinks_left_out(); }
  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double kink_width) const override;

  const Generator* generator() const override { return model_->description().sample ? this : nullptr; }
  at::Tensor samples(const at::Tensor& params, const at::Tensor& latents) const override;
  at::Tensor samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                               const at::Tensor& by_sample) const override;

  const OwnMetrics* own_metrics() const override { return this; }
  std::vector<std::string> metric_names() const override { return model_->description().metrics; }
  bool metric_larger_is_better(const std::string& name) const override;
  at::Tensor metric(const std::string& name, const at::Tensor& params, const Batch& points) const override;

  const Perceptrons* perceptrons() const override;
  std::string perceptrons_left_out() const override;

  const ScriptModel& model() const { return *model_; }

 private:
  std::vector<at::Tensor> inputs(const Batch& batch) const;
  std::vector<at::Tensor> losses_of_one(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                        const at::Tensor& weights, double kink_width) const;

  std::shared_ptr<const ScriptModel> model_;
  at::ScalarType dtype_;
  ParameterLayout layout_;
  bool drawn_;
  struct Layers;
  std::unique_ptr<Layers> layers_;
};

}  // namespace whence
