#include "conv_gan_engine.h"

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/native/conv_gan.h"
#include "whence/native/pool.h"
#include "whence/native/threads.h"

namespace whence {
namespace {

using native::ConvGanBatch;
using native::ConvGanSetting;
using native::ConvGanStep;

template <typename T>
ConvGanSetting<T> setting_of(const Dcgan& game, const std::string& variant) {
  for (const auto* kernels : native::available_conv_kernels<T>())
    if (variant.empty() || variant == kernels->name)
      return {&game.generator_network(), &game.discriminator_network(), kernels,
              &native::functions_beside(*kernels), static_cast<std::size_t>(game.layout().size())};
  refuse("the native engine has no kernels '{}' for this processor", variant);
}

template <typename T>
class ConvGanEngine : public Engine {
 public:
  ConvGanEngine(const Dcgan& game, const std::string& variant)
      : game_(game), setting_(setting_of<T>(game, variant)), trace_setting_(setting_) {
    if (variant.empty()) trace_setting_.kernels = &native::trace_conv_kernels(*setting_.kernels);
  }
  std::string name() const override { return "native"; }

  at::Tensor gradient(const at::Tensor& params, const Batch& batch,
                      const at::Tensor& weights) const override {
    const at::Tensor theta = params.contiguous(), present = weights.contiguous();
    const ContiguousBatch held(batch);
    at::Tensor g = at::empty_like(theta);
    native::share_out(theta.size(0), [&](std::int64_t begin, std::int64_t end) {
      auto step = steps_.take([](const auto&) { return true; },
                              [&] { return std::make_unique<ConvGanStep<T>>(setting_, false); });
      for (std::int64_t r = begin; r < end; ++r)
        step->gradient(theta.data_ptr<T>() + r * theta.size(1), held.samples,
                       present.data_ptr<T>() + r * present.size(1), g.data_ptr<T>() + r * theta.size(1));
      steps_.give_back(std::move(step));
    });
    add_penalty(batch, theta, g);
    return g;
  }

  // Sigmoids and tanh have no kink: the width changes nothing.
  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double) const override {
    const at::Tensor theta = params.contiguous(), u = queries.contiguous();
    const ContiguousBatch held(batch);
    TracedStep traced{at::empty_like(u), at::empty({u.size(0), batch.instances.size(0)}, u.options())};
    auto step = traces_.take([](const auto&) { return true; },
                             [&] { return std::make_unique<ConvGanStep<T>>(trace_setting_, true); });
    step->trace(theta.data_ptr<T>(), held.samples, u.data_ptr<T>(), u.size(0),
                traced.u_jacobian.template data_ptr<T>(), traced.u_instance.template data_ptr<T>());
    traces_.give_back(std::move(step));
    add_penalty(batch, u, traced.u_jacobian);
    return traced;
  }

 private:
  // The tensors behind a ConvGanBatch, contiguous.
  struct ContiguousBatch {
    explicit ContiguousBatch(const Batch& batch)
        : instances(batch.instances.contiguous()),
          latents(batch.latents.contiguous()),
          samples{instances.data_ptr<T>(), latents.data_ptr<T>(), static_cast<std::size_t>(instances.size(0)),
                  static_cast<std::size_t>(latents.size(0)), static_cast<T>(batch.divisor)} {}
    at::Tensor instances, latents;
    ConvGanBatch<T> samples;
  };

  // gamma times the kernels: the penalty's gradient, and its tangent along u.
  void add_penalty(const Batch& batch, const at::Tensor& of, at::Tensor& to) const {
    if (game_.options().l2 == 0 || !batch.carries_penalty) return;
    for (const ParameterSpec& spec : game_.layout().specs())
      if (spec.is_kernel)
        to.narrow(1, spec.offset, spec.size())
            .add_(of.narrow(1, spec.offset, spec.size()) * game_.options().l2);
  }

  const Dcgan& game_;
  ConvGanSetting<T> setting_, trace_setting_;
  mutable native::Pool<ConvGanStep<T>> steps_, traces_;
};

}  // namespace

std::unique_ptr<const Engine> make_conv_gan_engine(const Dcgan& game, const std::string& variant) {
  if (game.dtype() == at::kFloat) return std::make_unique<ConvGanEngine<float>>(game, variant);
  return std::make_unique<ConvGanEngine<double>>(game, variant);
}

}  // namespace whence
