#include "engine_ratios.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <numeric>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/fcgan.h"
#include "whence/game/native_engine.h"

namespace whence::bench {
namespace {

constexpr std::int64_t batch_size = 100;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// -- The peak: multiply-adds that depend on nothing but themselves, enough of them to hide their latency.

#define WHENCE_PEAK(name, target_features, bytes)                                                   \
  __attribute__((target_features, optimize("fp-contract=fast"))) double name(std::int64_t rounds) { \
    typedef double Vector __attribute__((vector_size(bytes)));                                      \
    const Vector factor = Vector{} + 0.999999, term = Vector{} + 1e-7;                              \
    Vector a = factor, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5;                       \
    Vector g = a + 6, h = a + 7, i = a + 8, j = a + 9;                                              \
    for (std::int64_t round = 0; round < rounds; ++round) {                                         \
      a = a * factor + term, b = b * factor + term, c = c * factor + term;                          \
      d = d * factor + term, e = e * factor + term, f = f * factor + term;                          \
      g = g * factor + term, h = h * factor + term, i = i * factor + term;                          \
      j = j * factor + term;                                                                        \
    }                                                                                               \
    const Vector sum = a + b + c + d + e + f + g + h + i + j;                                       \
    return sum[0];                                                                                  \
  }                                                                                                 \
  constexpr std::int64_t name##_operations = 10 * 2 * (bytes) / 8

#if defined(__x86_64__)
WHENCE_PEAK(avx512_loop, target("avx512f"), 64);
WHENCE_PEAK(avx2_loop, target("avx2,fma"), 32);
#endif
WHENCE_PEAK(portable_loop, noinline, 16);

// GFLOP/s of double precision.
double measured_peak() {
  double (*loop)(std::int64_t) = portable_loop;
  std::int64_t operations = portable_loop_operations;
#if defined(__x86_64__)
  const std::string variant = NativeEngine::variants().front();
  if (variant == "avx512") loop = avx512_loop, operations = avx512_loop_operations;
  if (variant == "avx2") loop = avx2_loop, operations = avx2_loop_operations;
#endif
  constexpr std::int64_t rounds = 100000;
  double best = 0, sink = 0;
  for (int repetition = 0; repetition < 50; ++repetition)
    best = std::max(best, static_cast<double>(rounds * operations) / seconds([&] { sink += loop(rounds); }));
  if (sink == 0) fail("the peak loop computed nothing");
  return best * 1e-9;
}

// -- Multiply-adds that the formulas need for one sample of a mini-batch with as many real as fake ones.

struct Needs {
  double gradient, values_and_adjoints, query;
};

Needs needs(const FcganOptions& options) {
  const auto count = [](std::vector<std::int64_t> widths, std::int64_t in, std::int64_t out) {
    widths.insert(widths.begin(), in);
    widths.push_back(out);
    double all = 0;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) all += static_cast<double>(widths[l] * widths[l + 1]);
    return std::pair{all, static_cast<double>(widths[0] * widths[1])};
  };
  const auto [g, g_first] = count(options.generator_hidden, options.latent_size, options.data_width);
  const auto [d, d_first] = count(options.discriminator_hidden, options.data_width, 1);
  // Forward, and back: adjoints of all but the input (of D at fake samples: that too); then outer products.
  const double adjoints = g + 2 * d + (g - g_first) + 2 * (d - d_first) + d_first;
  // A tangent: each of the three twice, less what multiplies the input's tangent where that is 0.
  const double query = (2 * g - g_first) + (4 * d - d_first) + 2 * (g - g_first) + 4 * (d - d_first) +
                       2 * d_first + (2 * g - g_first) + (4 * d - d_first);
  return {adjoints + g + 2 * d, adjoints, query};
}

// -- Measurement.

struct Times {
  double torch, native;
};

// The smallest times of one call, in microseconds; a turn lasts some milliseconds.
Times compare(const std::function<void(const Engine&)>& call, const Engine& torch, const Engine& native) {
  const auto turn = [&](const Engine& engine, int calls) {
    return 1e6 / calls * seconds([&] {
             for (int i = 0; i < calls; ++i) call(engine);
           });
  };
  const auto calls = [&](const Engine& engine) {
    turn(engine, 3);
    return 1 + static_cast<int>(3000 / turn(engine, 1));
  };
  const int torch_calls = calls(torch), native_calls = calls(native);
  Times times{1e300, 1e300};
  for (int repetition = 0; repetition < 60; ++repetition) {
    times.torch = std::min(times.torch, turn(torch, torch_calls));
    times.native = std::min(times.native, turn(native, native_calls));
  }
  return times;
}

at::Tensor numbers(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  at::Tensor values = at::empty({rows, columns}, at::kDouble);
  RandomStream(seed, Purpose::targets).normal(0, values.data_ptr<double>(), values.numel());
  return values;
}

void print_ratios(const char* name, const FcganOptions& options, double peak) {
  const auto game = std::make_shared<Fcgan>(options);
  const AutogradEngine torch(game);
  const NativeEngine native(game);
  const Needs need = needs(options);
  const Batch batch{numbers(batch_size, options.data_width, 1), numbers(batch_size, options.latent_size, 2),
                    batch_size, true};
  const auto row = [&](const std::string& what, std::int64_t count, double multiply_adds,
                       const std::function<void(const Engine&)>& call) {
    const Times times = compare(call, torch, native);
    const double flops = 2 * multiply_adds * batch_size / times.native * 1e-3;
    fmt::print("{:10} {:22} {:10.1f} {:10.1f} {:8.1f} {:10.1f} {:7.0f}%\n", name, what,
               times.torch / static_cast<double>(count), times.native / static_cast<double>(count),
               times.torch / times.native, flops, 100 * flops / peak);
  };
  for (const std::int64_t replicas : {1, 32}) {
    const at::Tensor params = game->initial_parameters(1).repeat({replicas, 1});
    const at::Tensor weights = at::ones({replicas, batch_size}, at::kDouble);
    row(fmt::format("gradient, {} replicas", replicas), replicas,
        static_cast<double>(replicas) * need.gradient,
        [&](const Engine& engine) { engine.gradient(params, batch, weights); });
  }
  const at::Tensor params = game->initial_parameters(1);
  for (const std::int64_t queries : {1, 8})
    for (const double kink : {0.0, 1e-3}) {
      const at::Tensor u = numbers(queries, game->layout().size(), 3);
      row(fmt::format("trace, {} queries, h={}", queries, kink), queries,
          need.values_and_adjoints + static_cast<double>(queries) * need.query,
          [&](const Engine& engine) { engine.trace(params, batch, u, kink); });
    }
}

}  // namespace

void print_engine_ratios() {
  at::set_num_threads(1);
  const double peak = measured_peak();
  fmt::print("peak of {}: {:.1f} GFLOP/s (float64, one thread)\n", NativeEngine::variants().front(), peak);
  fmt::print("{:10} {:22} {:>10} {:>10} {:>8} {:>10} {:>8}\n", "FCGAN", "us a replica or query", "torch",
             "native", "ratio", "GFLOP/s", "of peak");
  print_ratios("published",
               {2, 10, {32, 32}, {64, 64}, Activation::relu, Activation::linear, false, 0, at::kDouble},
               peak);
  print_ratios("small", {2, 10, {32}, {64}, Activation::relu, Activation::linear, false, 0, at::kDouble},
               peak);
}

}  // namespace whence::bench
