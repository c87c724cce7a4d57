#pragma once
// An exported game of dense layers, seen while it is computed for several replicas at once.

#include <memory>
#include <string>
#include <vector>

#include "whence/game/capabilities.h"
#include "whence/game/script_model.h"
#include "whence/net/layout.h"

#include "script_layers.h"

namespace whence {

/// Its dense layers are computed for all replicas together, everything else for one after the other.
class ScriptPerceptrons : public Perceptrons {
 public:
  /// `wide`: the model in float64, in which losses_seen() computes.
  ScriptPerceptrons(std::shared_ptr<const ScriptModel> wide, const ParameterLayout& layout);

  /// "", or why its layers cannot be seen (then nothing below may be called).
  const std::string& missing() const { return layers_.missing; }

  std::int64_t instance_player() const override { return layers_.instance_player; }
  bool latents_of_instances() const override { return layers_.latents_of_instances; }
  bool as_many_latents() const override { return true; }
  std::vector<at::Tensor> losses_seen(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                      const at::Tensor& weights, DenseWatch& instances,
                                      DenseWatch& latents) const override;

 private:
  std::vector<std::vector<at::Tensor>> terms(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                             DenseWatch& instances, DenseWatch& latents) const;
  // "", or why they are not what they look like, at some instances, latents and parameters.
  std::string checked(const ParameterLayout& layout) const;
  std::string checked_values(const ParameterLayout& layout) const;

  std::shared_ptr<const ScriptModel> wide_;
  ScriptLayers layers_;
};

}  // namespace whence
