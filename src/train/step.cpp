#include "whence/train/step.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {
namespace {

// In FiniteWatch::first_bad_: all steps were finite.
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// A copy of host memory that does not make the host wait for what the device is doing.
at::Tensor without_waiting(const at::Tensor& values, at::Device device) {
  return values.to(device, values.scalar_type(), /*non_blocking=*/true);
}

at::Tensor normals(const RandomStream& stream, Range rows, std::int64_t width, at::ScalarType dtype) {
  at::Tensor values = at::empty({rows.size(), width}, at::kDouble);
  stream.normal(static_cast<std::uint64_t>(rows.begin * width), values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

// A number is not finite when all bits of its exponent are set. Unlike isfinite on each element, this is a
// loop that compilers turn into vector code; `bad` is as wide as the numbers for that.
template <typename Float, typename Bits>
bool finite(const Float* values, std::int64_t count, Bits exponent) {
  Bits bad = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return bad == 0;
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
  const at::Device device = data.instances.device();
  const at::Tensor own = without_waiting(positions.narrow(0, rows.begin, rows.size()), device);
  return {at::index_select(data.instances, 0, own),
          without_waiting(training_latents(seed, t, rows, game.latent_size(), game.dtype()), device),
          positions.size(0), rows.begin == 0,
          data.labels.defined() ? at::index_select(data.labels, 0, own) : at::Tensor()};
}

void move(at::Tensor& params, const at::Tensor& gradient, const at::Tensor& rates) {
  TORCH_CHECK(params.is_contiguous() && gradient.is_contiguous() && rates.is_contiguous() &&
                  params.sizes() == gradient.sizes() && params.size(1) == rates.size(0),
              "move: params and gradient [R, P] and rates [P] must fit together");
  if (!params.device().is_cpu()) {
    params.sub_(gradient * rates);
    return;
  }
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

FiniteWatch::FiniteWatch(std::vector<Range> parts, Complaint complaint)
    : parts_(std::move(parts)), complaint_(std::move(complaint)) {}

void FiniteWatch::see_now(const at::Tensor& values, std::int64_t t) const {
  if (all_finite(values)) return;
  for (std::int64_t row = 0; row < values.size(0); ++row)
    for (std::size_t p = 0; p < parts_.size(); ++p)
      if (!all_finite(values[row].narrow(0, parts_[p].begin, parts_[p].size())))
        fail("{}", complaint_(t, row, static_cast<std::int64_t>(p)));
}

void FiniteWatch::see(const at::Tensor& values, std::int64_t t) {
  if (values.device().is_cpu()) return see_now(values, t);
  std::vector<at::Tensor> finite;
  for (const Range& part : parts_)
    finite.push_back(at::isfinite(values.narrow(1, part.begin, part.size())).all(1));
  if (!first_bad_.defined())
    first_bad_ = at::full({values.size(0), static_cast<std::int64_t>(parts_.size())}, never,
                          values.options().dtype(at::kLong));
  const at::Tensor newly_bad = at::eq(first_bad_, never).logical_and(at::stack(finite, 1).logical_not());
  first_bad_.masked_fill_(newly_bad, static_cast<std::int64_t>(unread_.size()));
  unread_.push_back(t);
  if (unread_.size() == patience) check();
}

void FiniteWatch::check() {
  const std::vector<std::int64_t> steps = std::exchange(unread_, {});
  if (steps.empty()) return;
  const at::Tensor found = first_bad_.cpu();
  const auto where = found.argmin().item<std::int64_t>(), first = found.min().item<std::int64_t>();
  if (first != never) fail("{}", complaint_(steps[first], where / found.size(1), where % found.size(1)));
}

FiniteWatch watch_players(const std::string& what, const ParameterLayout& layout,
                          const std::function<std::string(std::int64_t)>& name_of) {
  std::vector<Range> blocks;
  for (std::int64_t player = 0; player < layout.player_count(); ++player) {
    const auto [begin, end] = layout.block(player);
    blocks.push_back({begin, end});
  }
  return {blocks,
          [what, players = layout.players(), name_of](std::int64_t t, std::int64_t row, std::int64_t part) {
            return fmt::format("step {}: {} of the {} is not finite in {}; a smaller learning rate may help",
                               t, what, players[part], name_of(row));
          }};
}

}  // namespace whence
