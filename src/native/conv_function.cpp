#include "whence/native/conv_function.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "whence/core/error.h"
#include "whence/native/conv_pass.h"
#include "whence/native/threads.h"

namespace whence {

using native::Backward;
using native::ConvKernels;
using native::ConvPass;
using native::Map;
using native::map_of;

class ConvFunction::Typed {
 public:
  virtual ~Typed() = default;
  virtual std::vector<at::Tensor> forward(const at::Tensor& theta, const at::Tensor& x,
                                          const std::vector<std::size_t>& stages) const = 0;
  virtual at::Tensor pull_back(const at::Tensor& theta, const at::Tensor& x,
                               const std::vector<std::size_t>& stages,
                               const std::vector<at::Tensor>& by_output, bool to_input,
                               at::Tensor& by_theta) const = 0;
};

namespace {

template <typename T>
class TypedFunction : public ConvFunction::Typed {
 public:
  explicit TypedFunction(const Network& net)
      : net_(net), kernels_(*native::available_conv_kernels<T>().front()) {}

  std::vector<at::Tensor> forward(const at::Tensor& theta, const at::Tensor& x,
                                  const std::vector<std::size_t>& stages) const override {
    const at::Tensor params = theta.contiguous(), in = x.contiguous();
    std::vector<at::Tensor> outputs;
    for (const std::size_t stage : stages)
      outputs.push_back(at::empty({in.size(0), net_.stages()[stage].out.values()}, in.options()));
    const auto samples = static_cast<std::size_t>(in.size(0));
    const std::size_t lanes = kernels_.lanes, groups = (samples + lanes - 1) / lanes;
    native::share_out(static_cast<std::int64_t>(groups), [&](std::int64_t begin, std::int64_t end) {
      ConvPass<T> pass(net_, kernels_, false);
      for (std::int64_t g = begin; g < end; ++g) {
        const std::size_t first = static_cast<std::size_t>(g) * lanes,
                          count = std::min(lanes, samples - first);
        run(pass, params, in, first, count);
        for (std::size_t i = 0; i < stages.size(); ++i)
          native::store_samples(map_of(net_.stages()[stages[i]].out), lanes, pass.output(stages[i]), first,
                                count, outputs[i].template data_ptr<T>());
      }
    });
    return outputs;
  }

  at::Tensor pull_back(const at::Tensor& theta, const at::Tensor& x, const std::vector<std::size_t>& stages,
                       const std::vector<at::Tensor>& by_output, bool to_input,
                       at::Tensor& by_theta) const override {
    const at::Tensor params = theta.contiguous(), in = x.contiguous();
    const auto samples = static_cast<std::size_t>(in.size(0));
    const std::size_t lanes = kernels_.lanes;
    at::Tensor by_input = to_input ? at::empty_like(in) : at::Tensor();
    ConvPass<T> pass(net_, kernels_, false);
    std::vector<T> sums(by_theta.defined() ? params.numel() * lanes : 0);
    for (std::size_t first = 0; first < samples; first += lanes) {
      const std::size_t count = std::min(lanes, samples - first);
      run(pass, params, in, first, count);
      for (std::size_t i = stages.size(); i-- > 0;) {
        const bool last = i + 1 == stages.size();
        add_adjoint(pass, stages[i], by_output[i], first, count, last);
        const std::size_t until = i == 0 ? 0 : stages[i - 1] + 1;
        pass.backward(params.template data_ptr<T>(),
                      {sums.empty() ? nullptr : sums.data(), nullptr, to_input, stages[i], until});
      }
      if (to_input)
        native::store_samples(pass.input_map(), lanes, pass.adjoint(0), first, count,
                              by_input.template data_ptr<T>());
    }
    if (by_theta.defined()) kernels_.add_lanes(params.numel(), sums.data(), by_theta.template data_ptr<T>());
    return by_input;
  }

 private:
  void run(ConvPass<T>& pass, const at::Tensor& params, const at::Tensor& x, std::size_t first,
           std::size_t count) const {
    native::load_samples(pass.input_map(), kernels_.lanes, x.data_ptr<T>(), first, count, pass.input());
    pass.forward(params.data_ptr<T>(), pass.input());
  }

  // Lanes without a sample get 0, so that they add nothing to sums over samples.
  void add_adjoint(ConvPass<T>& pass, std::size_t stage, const at::Tensor& by_output, std::size_t first,
                   std::size_t count, bool fresh) const {
    const Map map = map_of(net_.stages()[stage].out);
    const at::Tensor rows = by_output.contiguous();
    T* to = pass.adjoint(stage + 1);
    if (fresh) return native::load_samples(map, kernels_.lanes, rows.data_ptr<T>(), first, count, to);
    native::MapMemory<T> memory(kernels_.lanes);
    T* more = memory.map(map);
    native::load_samples(map, kernels_.lanes, rows.data_ptr<T>(), first, count, more);
    kernels_.add(map, more, to);
  }

  const Network& net_;
  const ConvKernels<T>& kernels_;
};

}  // namespace

ConvFunction::ConvFunction(const Network& net, at::ScalarType dtype) {
  if (dtype == at::kFloat)
    typed_ = std::make_unique<TypedFunction<float>>(net);
  else
    typed_ = std::make_unique<TypedFunction<double>>(net);
}

ConvFunction::~ConvFunction() = default;

std::vector<at::Tensor> ConvFunction::forward(const at::Tensor& theta, const at::Tensor& x,
                                              const std::vector<std::size_t>& stages) const {
  return typed_->forward(theta, x, stages);
}

at::Tensor ConvFunction::pull_back(const at::Tensor& theta, const at::Tensor& x,
                                   const std::vector<std::size_t>& stages,
                                   const std::vector<at::Tensor>& by_output, bool to_input,
                                   at::Tensor by_theta) const {
  return typed_->pull_back(theta, x, stages, by_output, to_input, by_theta);
}

}  // namespace whence
