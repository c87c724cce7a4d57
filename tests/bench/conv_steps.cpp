#include "conv_steps.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <functional>
#include <string>
#include <vector>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/dcgan.h"
#include "whence/game/native_engine.h"
#include "whence/optimise/sgd.h"
#include "whence/train/step.h"

namespace whence::bench {
namespace {

// The game of Dcgan as its users write it: replicas are groups of LibTorch's convolutions.
class PlainDcgan : public Dcgan {
 public:
  using Dcgan::Dcgan;
  bool one_replica_at_a_time() const override { return false; }
  at::Tensor generate(const std::vector<at::Tensor>& tensors, const at::Tensor& latents,
                      double) const override {
    return forward(generator_network(), tensors, latents);
  }
  at::Tensor logits(const std::vector<at::Tensor>& tensors, const at::Tensor& points, double) const override {
    return forward(discriminator_network(), tensors, points).squeeze(2);
  }

 private:
  // x [m, in] or [R, m, in] as [m, R channels, height, width].
  static at::Tensor forward(const Network& net, const std::vector<at::Tensor>& tensors, const at::Tensor& x) {
    const std::int64_t replicas = tensors[net.stages().front().first].size(0), samples = x.size(-2);
    at::Tensor h = x.dim() == 3 ? x : x.expand({replicas, -1, -1});
    h = h.transpose(0, 1).reshape(
        {samples, replicas * net.input().channels, net.input().height, net.input().width});
    for (const Stage& stage : net.stages()) {
      const at::Tensor* tensor = &tensors[stage.first];
      const at::Tensor bias = tensor[1].flatten();
      const Layer& layer = stage.layer;
      h = layer.kind == LayerKind::convolution
              ? at::conv2d(h, tensor[0].permute({0, 4, 3, 1, 2}).flatten(0, 1), bias,
                           at::IntArrayRef{layer.stride, layer.stride}, at::IntArrayRef{0, 0},
                           at::IntArrayRef{1, 1}, replicas)
              : at::conv_transpose2d(h, tensor[0].permute({0, 3, 4, 1, 2}).flatten(0, 1), bias,
                                     at::IntArrayRef{layer.stride, layer.stride}, at::IntArrayRef{0, 0},
                                     at::IntArrayRef{0, 0}, replicas);
      if (layer.activation == Activation::sigmoid) h = at::sigmoid(h);
      if (layer.activation == Activation::tanh) h = at::tanh(h);
      if (!layer.norm) continue;
      const at::Tensor parts =
          h.reshape({samples, replicas, stage.out.channels, stage.out.height, stage.out.width});
      const at::Tensor normed = at::layer_norm(parts, parts.sizes().slice(2), {}, {}, 1e-12);
      h = (normed * tensor[2].unsqueeze(2).unsqueeze(3) + tensor[3].unsqueeze(2).unsqueeze(3))
              .reshape(h.sizes());
    }
    return h.reshape({samples, replicas, -1}).transpose(0, 1);
  }
};

at::Tensor normals(std::vector<std::int64_t> shape, std::uint32_t step, at::ScalarType dtype) {
  at::Tensor values = at::empty(shape, at::kDouble);
  RandomStream(1, Purpose::targets, step).normal(0, values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

// CPU time of this thread: waiting for a processor does not count.
double milliseconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
  };
  const double begin = now();
  work();
  return now() - begin;
}

struct Case {
  std::string name;
  double count;
  std::function<at::Tensor(const Engine&)> step;
  double plain = 1e300, native = 1e300;
};

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

}  // namespace

void print_conv_steps(std::int64_t channels, const std::string& dtype_name, std::int64_t turns) {
  if (dtype_name != "float32" && dtype_name != "float64")
    refuse("--conv: '{}' is not float32 or float64", dtype_name);
  const at::ScalarType dtype = dtype_name == "float32" ? at::kFloat : at::kDouble;
  const DcganOptions options{32, channels, 1e-3, dtype};
  const auto game = std::make_shared<Dcgan>(options);
  const AutogradEngine plain(std::make_shared<PlainDcgan>(options));
  const NativeEngine native(game);
  const Batch batch{at::tanh(normals({100, 784}, 1, dtype)), normals({100, 32}, 2, dtype), 100};
  const Moves moves{{0, game->layout().size(), 1e-3, 0}};

  fmt::print("DCGAN, {} channels, {}, mini-batch 100, milliseconds a replica or query\n", channels,
             dtype_name);
  fmt::print("{:<28}{:>10}{:>10}{:>8}{:>18}\n", "", "plain", "native", "ratio", "native / training");
  std::vector<Case> cases;
  for (const std::int64_t count : {1, 4})
    for (const bool trace : {false, true}) {
      const at::Tensor params = game->initial_parameters(3).repeat({trace ? 1 : count, 1});
      const at::Tensor u = normals({count, game->layout().size()}, 3, dtype),
                       present = at::ones({count, 100}, params.options());
      const auto step = [=](const Engine& engine) {
        if (trace) return engine.trace(params[0], batch, u, 0).u_jacobian;
        at::Tensor moved = params.clone();
        Sgd().update(moved, engine.gradient(params, batch, present), moves);
        return moved;
      };
      const double apart = difference(step(native), step(plain));
      if (apart > (dtype == at::kFloat ? 1e-3 : 1e-10)) fail("plain and native differ by {:.1e}", apart);
      cases.push_back(
          {fmt::format("{}, {} {}", trace ? "trace" : "training step", count, trace ? "queries" : "replicas"),
           static_cast<double>(count), step});
    }
  // Turn about, so that what else the machine does meets all of them alike.
  for (std::int64_t turn = 0; turn < turns; ++turn)
    for (Case& one : cases) {
      one.plain = std::min(one.plain, milliseconds([&] { one.step(plain); }) / one.count);
      for (int i = 0; i < 4; ++i)
        one.native = std::min(one.native, milliseconds([&] { one.step(native); }) / one.count);
    }
  for (const Case& one : cases)
    fmt::print("{:<28}{:>10.2f}{:>10.2f}{:>8.1f}{:>18.2f}\n", one.name, one.plain, one.native,
               one.plain / one.native, one.native / cases.front().native);
}

}  // namespace whence::bench
