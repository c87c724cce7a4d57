#include "whence/train/step.h"

#include <cmath>
#include <cstring>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {
namespace {

at::Tensor normals(const RandomStream& stream, Range rows, std::int64_t width, at::ScalarType dtype) {
  at::Tensor values = at::empty({rows.size(), width}, at::kDouble);
  stream.normal(static_cast<std::uint64_t>(rows.begin * width), values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

// A number is not finite when all bits of its exponent are set. Unlike isfinite on each element, this is a
// loop that compilers turn into vector code.
template <typename Float, typename Bits>
bool finite(const Float* values, std::int64_t count, Bits exponent) {
  bool bad = false;
  for (std::int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= (bits & exponent) == exponent;
  }
  return !bad;
}

// One pass over memory: the replicas of a block do not fit a processor's second-level cache, and a temporary
// of their size would cost more than the arithmetic.
template <typename Float>
void take_off(Float* params, const Float* gradient, const Float* rates, std::int64_t rows,
              std::int64_t width) {
  for (std::int64_t row = 0; row < rows; ++row, params += width, gradient += width)
    for (std::int64_t i = 0; i < width; ++i) params[i] -= gradient[i] * rates[i];
}

}  // namespace

at::Tensor training_latents(std::uint64_t seed, std::int64_t t, Range rows, std::int64_t width,
                            at::ScalarType dtype) {
  return normals(RandomStream(seed, Purpose::training_latents, static_cast<std::uint32_t>(t)), rows, width,
                 dtype);
}

at::Tensor validation_latents(std::uint64_t seed, std::int64_t count, std::int64_t width,
                              at::ScalarType dtype) {
  return normals(RandomStream(seed, Purpose::validation_latents), {0, count}, width, dtype);
}

at::Tensor test_latents(std::uint64_t seed, std::int64_t count, std::int64_t width, at::ScalarType dtype) {
  return normals(RandomStream(seed, Purpose::test_latents), {0, count}, width, dtype);
}

Batch make_batch(const Dataset& data, const at::Tensor& positions, std::uint64_t seed, std::int64_t t,
                 Range rows, const Game& game) {
  const at::Tensor own = positions.narrow(0, rows.begin, rows.size());
  return {at::index_select(data.instances, 0, own),
          training_latents(seed, t, rows, game.latent_size(), game.dtype()), positions.size(0),
          rows.begin == 0, data.labels.defined() ? at::index_select(data.labels, 0, own) : at::Tensor()};
}

void move(at::Tensor& params, const at::Tensor& gradient, const at::Tensor& rates) {
  TORCH_CHECK(params.is_contiguous() && gradient.is_contiguous() && rates.is_contiguous() &&
                  params.sizes() == gradient.sizes() && params.size(1) == rates.size(0),
              "move: params and gradient [R, P] and rates [P] must fit together");
  if (params.scalar_type() == at::kFloat)
    take_off(params.data_ptr<float>(), gradient.data_ptr<float>(), rates.data_ptr<float>(), params.size(0),
             params.size(1));
  else
    take_off(params.data_ptr<double>(), gradient.data_ptr<double>(), rates.data_ptr<double>(), params.size(0),
             params.size(1));
}

std::int64_t state_size(Optimiser optimiser, std::int64_t parameters) {
  return optimiser == Optimiser::adam ? 3 * parameters : parameters;
}

at::Tensor initial_state(Optimiser optimiser, const at::Tensor& params) {
  if (optimiser == Optimiser::sgd) return params.clone();
  return at::cat({params, at::zeros_like(params), at::zeros_like(params)}, 1);
}

// Plain products and sums, no fused operations: LibTorch rounds those differently at the ends of a tensor.
void move(at::Tensor& state, const at::Tensor& gradient, const at::Tensor& rates, Optimiser optimiser,
          std::int64_t t) {
  if (optimiser == Optimiser::sgd) return move(state, gradient, rates);
  constexpr double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8;
  const std::int64_t parameters = gradient.size(1);
  at::Tensor theta = state.narrow(1, 0, parameters), m = state.narrow(1, parameters, parameters),
             v = state.narrow(1, 2 * parameters, parameters);
  m.mul_(beta_1).add_(gradient * (1 - beta_1));
  v.mul_(beta_2).add_(gradient * gradient * (1 - beta_2));
  const double steps = static_cast<double>(t + 1);
  const at::Tensor unbiased = m / (1 - std::pow(beta_1, steps)),
                   spread = (v / (1 - std::pow(beta_2, steps))).sqrt() + epsilon;
  theta.sub_(unbiased / spread * rates);
}

bool all_finite(const at::Tensor& values) {
  TORCH_CHECK(values.is_contiguous(), "all_finite needs a contiguous tensor");
  if (values.scalar_type() == at::kFloat)
    return finite<float, std::uint32_t>(values.data_ptr<float>(), values.numel(), 0x7f800000u);
  return finite<double, std::uint64_t>(values.data_ptr<double>(), values.numel(), 0x7ff0000000000000ull);
}

void check_finite(const at::Tensor& values, const std::string& what, const ParameterLayout& layout,
                  std::int64_t t, const std::function<std::string(std::int64_t)>& name_of) {
  if (all_finite(values)) return;
  for (std::int64_t replica = 0; replica < values.size(0); ++replica)
    for (std::int64_t player = 0; player < layout.player_count(); ++player) {
      const auto [begin, end] = layout.block(player);
      if (!all_finite(values[replica].narrow(0, begin, end - begin)))
        fail("step {}: {} of the {} is not finite in {}; a smaller learning rate may help", t, what,
             layout.players()[player], name_of(replica));
    }
}

}  // namespace whence
