#pragma once
// The engine of games whose networks are perceptrons, by CPU kernels: all but the step of one replica.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/game/engine.h"
#include "whence/native/perceptron.h"
#include "whence/native/pool.h"
#include "whence/native/samples.h"
#include "whence/native/threads.h"
#include "whence/net/network.h"

namespace whence {

inline native::Perceptron perceptron_of(const Network& network) {
  native::Perceptron net;
  for (const Stage& stage : network.stages()) {
    if (stage.layer.activation == Activation::leaky_relu && stage.layer.leak != usual_leak)
      fail("the native engine has leaky_relu of the slope {} only", usual_leak);
    net.push_back({static_cast<std::size_t>(stage.in.values()), static_cast<std::size_t>(stage.out.values()),
                   static_cast<std::size_t>(stage.weight),
                   stage.layer.bias ? static_cast<std::size_t>(stage.bias) : native::DenseLayer::no_bias,
                   stage.layer.activation});
  }
  return net;
}

template <typename T>
const native::Kernels<T>& kernels_named(const std::string& variant) {
  for (const native::Kernels<T>* kernels : native::available_kernels<T>())
    if (variant.empty() || variant == kernels->name) return *kernels;
  refuse("the native engine has no kernels '{}' for this processor", variant);
}

// One step's values, and as many tangents as threads work on its queries.
template <typename Step, typename T>
struct TraceWorkspace {
  Step step;
  double kink_width;
  native::Pool<typename Step::Tangent> tangents;

  TraceWorkspace(const typename Step::Nets& nets, std::size_t real, std::size_t fake,
                 const native::Kernels<T>& kernels, double a_kink_width)
      : step(nets, real, fake, kernels, a_kink_width), kink_width(a_kink_width) {}
};

/// `Step` is AdversarialStep or VaeStep, which have the same members. See NativeEngine for the rest.
template <typename Step, typename T>
class PerceptronEngine : public Engine {
 public:
  PerceptronEngine(const Game& game, typename Step::Nets nets, const std::string& variant)
      : nets_(std::move(nets)),
        kernels_(kernels_named<T>(variant)),
        parameters_(game.layout().size()),
        dtype_(game.dtype()) {}
  std::string name() const override { return "native"; }
  at::Tensor gradient(const at::Tensor& params, const Batch& batch, const at::Tensor& weights) const override;
  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double kink_width) const override;

 private:
  // The tensors behind `Samples`, contiguous.
  struct ContiguousBatch {
    at::Tensor instances, latents;
    native::Samples<T> samples;
  };
  ContiguousBatch contiguous(const Batch& batch) const;
  at::Tensor checked(const char* what, const at::Tensor& tensor, std::int64_t width) const;

  typename Step::Nets nets_;
  const native::Kernels<T>& kernels_;
  std::int64_t parameters_;
  at::ScalarType dtype_;
  mutable native::Pool<Step> steps_;
  mutable native::Pool<TraceWorkspace<Step, T>> traces_;
};

template <typename Step, typename T>
at::Tensor PerceptronEngine<Step, T>::checked(const char* what, const at::Tensor& tensor,
                                              std::int64_t width) const {
  TORCH_CHECK(tensor.dim() == 2 && tensor.size(1) == width && tensor.scalar_type() == dtype_,
              "native engine: ", what, " must be [", tensor.size(0), ", ", width,
              "] of the game's type, not ", tensor.sizes());
  return tensor.contiguous();
}

template <typename Step, typename T>
typename PerceptronEngine<Step, T>::ContiguousBatch PerceptronEngine<Step, T>::contiguous(
    const Batch& batch) const {
  const auto width = static_cast<std::int64_t>(nets_.instance_width());
  const auto latent = static_cast<std::int64_t>(nets_.latent_width());
  ContiguousBatch held{
      checked("instances", batch.instances, width), checked("latents", batch.latents, latent), {}};
  held.samples = {held.instances.template data_ptr<T>(),
                  held.latents.template data_ptr<T>(),
                  static_cast<std::size_t>(held.instances.size(0)),
                  static_cast<std::size_t>(held.latents.size(0)),
                  static_cast<T>(batch.divisor),
                  batch.carries_penalty};
  return held;
}

template <typename Step, typename T>
at::Tensor PerceptronEngine<Step, T>::gradient(const at::Tensor& params, const Batch& batch,
                                               const at::Tensor& weights) const {
  const ContiguousBatch held = contiguous(batch);
  const std::size_t real = held.samples.real, fake = held.samples.fake;
  const at::Tensor theta = checked("params", params, parameters_);
  const at::Tensor present = checked("weights", weights, batch.instances.size(0));
  TORCH_CHECK(theta.size(0) == present.size(0), "native engine: as many rows of weights as of params");
  at::Tensor result = at::empty(theta.sizes(), theta.options());

  const T *theta_data = theta.data_ptr<T>(), *present_data = present.data_ptr<T>();
  T* result_data = result.data_ptr<T>();
  native::share_out(theta.size(0), [&](std::int64_t begin, std::int64_t end) {
    auto step = steps_.take([&](const auto& idle) { return idle.real() == real && idle.fake() == fake; },
                            [&] { return std::make_unique<Step>(nets_, real, fake, kernels_, -1); });
    step->load(held.samples);
    for (std::int64_t r = begin; r < end; ++r)
      step->gradient(theta_data + r * parameters_, present_data + r * static_cast<std::int64_t>(real),
                     result_data + r * parameters_);
    steps_.give_back(std::move(step));
  });
  return result;
}

template <typename Step, typename T>
TracedStep PerceptronEngine<Step, T>::trace(const at::Tensor& params, const Batch& batch,
                                            const at::Tensor& queries, double kink_width) const {
  const ContiguousBatch held = contiguous(batch);
  const std::size_t real = held.samples.real, fake = held.samples.fake;
  const double width = std::max(kink_width, 0.0);
  const at::Tensor theta = checked("params", params.unsqueeze(0), parameters_);
  const at::Tensor u = checked("queries", queries, parameters_);
  TracedStep traced{at::empty(u.sizes(), u.options()),
                    at::empty({u.size(0), batch.instances.size(0)}, u.options())};

  auto workspace = traces_.take(
      [&](const auto& idle) {
        return idle.step.real() == real && idle.step.fake() == fake && idle.kink_width == width;
      },
      [&] { return std::make_unique<TraceWorkspace<Step, T>>(nets_, real, fake, kernels_, width); });
  workspace->step.load(held.samples);
  workspace->step.prepare(theta.data_ptr<T>());
  const T* u_data = u.data_ptr<T>();
  T *jacobian = traced.u_jacobian.template data_ptr<T>(),
    *instance = traced.u_instance.template data_ptr<T>();
  native::share_out(u.size(0), [&](std::int64_t begin, std::int64_t end) {
    auto tangent =
        workspace->tangents.take([](const auto&) { return true; },
                                 [&] { return std::make_unique<typename Step::Tangent>(workspace->step); });
    for (std::int64_t q = begin; q < end; ++q)
      tangent->trace(u_data + q * parameters_, jacobian + q * parameters_,
                     instance + q * static_cast<std::int64_t>(real));
    workspace->tangents.give_back(std::move(tangent));
  });
  traces_.give_back(std::move(workspace));
  return traced;
}

}  // namespace whence
