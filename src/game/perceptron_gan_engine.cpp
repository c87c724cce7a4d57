#include "perceptron_gan_engine.h"

#include <cmath>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/native/adversarial_step.h"
#include "whence/native/pool.h"
#include "whence/native/threads.h"

namespace whence {
namespace {

using native::AdversarialNets;
using native::AdversarialStep;
using native::DenseLayer;
using native::Kernels;
using native::Perceptron;
using native::Pool;
using native::Samples;
using native::TangentStep;

Perceptron perceptron_of(const Network& network) {
  Perceptron net;
  for (const Stage& stage : network.stages())
    net.push_back({static_cast<std::size_t>(stage.in.values()), static_cast<std::size_t>(stage.out.values()),
                   static_cast<std::size_t>(stage.weight),
                   stage.layer.bias ? static_cast<std::size_t>(stage.bias) : DenseLayer::no_bias,
                   stage.layer.activation});
  return net;
}

template <typename T>
AdversarialNets<T> nets_of(const Fcgan& game) {
  return {perceptron_of(game.generator_network()),
          perceptron_of(game.discriminator_network()),
          native::softplus_term<T, -1>,
          native::softplus_term<T, -1>,
          native::softplus_term<T, 1>,
          static_cast<T>(game.options().l2)};
}

template <typename T>
const Kernels<T>& kernels_named(const std::string& variant) {
  for (const Kernels<T>* kernels : native::available_kernels<T>())
    if (variant.empty() || variant == kernels->name) return *kernels;
  refuse("the native engine has no kernels '{}' for this processor", variant);
}

// One step's values, and as many tangents as threads work on its queries.
template <typename T>
struct TraceWorkspace {
  AdversarialStep<T> step;
  double kink_width;
  Pool<TangentStep<T>> tangents;

  TraceWorkspace(const AdversarialNets<T>& nets, std::size_t real, std::size_t fake,
                 const Kernels<T>& kernels, double a_kink_width)
      : step(nets, real, fake, kernels, a_kink_width), kink_width(a_kink_width) {}
};

template <typename T>
class PerceptronGanEngine : public Engine {
 public:
  PerceptronGanEngine(const Fcgan& game, const std::string& variant)
      : nets_(nets_of<T>(game)),
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
    Samples<T> samples;
  };
  ContiguousBatch contiguous(const Batch& batch) const;
  at::Tensor checked(const char* what, const at::Tensor& tensor, std::int64_t width) const;

  AdversarialNets<T> nets_;
  const Kernels<T>& kernels_;
  std::int64_t parameters_;
  at::ScalarType dtype_;
  mutable Pool<AdversarialStep<T>> steps_;
  mutable Pool<TraceWorkspace<T>> traces_;
};

template <typename T>
at::Tensor PerceptronGanEngine<T>::checked(const char* what, const at::Tensor& tensor,
                                           std::int64_t width) const {
  TORCH_CHECK(tensor.dim() == 2 && tensor.size(1) == width && tensor.scalar_type() == dtype_,
              "native engine: ", what, " must be [", tensor.size(0), ", ", width,
              "] of the game's type, not ", tensor.sizes());
  return tensor.contiguous();
}

template <typename T>
typename PerceptronGanEngine<T>::ContiguousBatch PerceptronGanEngine<T>::contiguous(
    const Batch& batch) const {
  const auto width = static_cast<std::int64_t>(nets_.discriminator.front().in);
  const auto latent = static_cast<std::int64_t>(nets_.generator.front().in);
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

template <typename T>
at::Tensor PerceptronGanEngine<T>::gradient(const at::Tensor& params, const Batch& batch,
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
    auto step =
        steps_.take([&](const auto& idle) { return idle.real() == real && idle.fake() == fake; },
                    [&] { return std::make_unique<AdversarialStep<T>>(nets_, real, fake, kernels_, -1); });
    step->load(held.samples);
    for (std::int64_t r = begin; r < end; ++r)
      step->gradient(theta_data + r * parameters_, present_data + r * static_cast<std::int64_t>(real),
                     result_data + r * parameters_);
    steps_.give_back(std::move(step));
  });
  return result;
}

template <typename T>
TracedStep PerceptronGanEngine<T>::trace(const at::Tensor& params, const Batch& batch,
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
      [&] { return std::make_unique<TraceWorkspace<T>>(nets_, real, fake, kernels_, width); });
  workspace->step.load(held.samples);
  workspace->step.prepare(theta.data_ptr<T>());
  const T* u_data = u.data_ptr<T>();
  T *jacobian = traced.u_jacobian.template data_ptr<T>(),
    *instance = traced.u_instance.template data_ptr<T>();
  native::share_out(u.size(0), [&](std::int64_t begin, std::int64_t end) {
    auto tangent = workspace->tangents.take(
        [](const auto&) { return true; }, [&] { return std::make_unique<TangentStep<T>>(workspace->step); });
    for (std::int64_t q = begin; q < end; ++q)
      tangent->trace(u_data + q * parameters_, jacobian + q * parameters_,
                     instance + q * static_cast<std::int64_t>(real));
    workspace->tangents.give_back(std::move(tangent));
  });
  traces_.give_back(std::move(workspace));
  return traced;
}

}  // namespace

std::unique_ptr<const Engine> make_perceptron_gan_engine(const Fcgan& game, const std::string& variant) {
  if (game.dtype() == at::kFloat) return std::make_unique<PerceptronGanEngine<float>>(game, variant);
  return std::make_unique<PerceptronGanEngine<double>>(game, variant);
}

}  // namespace whence
