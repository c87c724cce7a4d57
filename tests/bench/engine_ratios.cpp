#include "engine_ratios.h"

#include <algorithm>
#include <ctime>
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
#include "whence/game/vae.h"

namespace whence::bench {
namespace {

// Processor time of this thread: waiting for a processor does not count.
double seconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double begin = now();
  work();
  return now() - begin;
}

// -- The peak: multiply-adds that depend on nothing but themselves, enough of them to hide their latency.
// This file is compiled with -ffp-contract=fast, without which they are two instructions each.

#define WHENCE_PEAK(name, target_features, bytes)                             \
  template <typename T>                                                       \
  __attribute__((target_features)) double name(std::int64_t rounds) {         \
    typedef T Vector __attribute__((vector_size(bytes)));                     \
    const Vector factor = Vector{} + T(0.999999), term = Vector{} + T(1e-7);  \
    Vector a = factor, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5; \
    Vector g = a + 6, h = a + 7, i = a + 8, j = a + 9;                        \
    for (std::int64_t round = 0; round < rounds; ++round) {                   \
      a = a * factor + term, b = b * factor + term, c = c * factor + term;    \
      d = d * factor + term, e = e * factor + term, f = f * factor + term;    \
      g = g * factor + term, h = h * factor + term, i = i * factor + term;    \
      j = j * factor + term;                                                  \
    }                                                                         \
    const Vector sum = a + b + c + d + e + f + g + h + i + j;                 \
    return sum[0];                                                            \
  }                                                                           \
  constexpr std::int64_t name##_bytes = bytes

#if defined(__x86_64__)
WHENCE_PEAK(avx512_loop, target("avx512f"), 64);
WHENCE_PEAK(avx2_loop, target("avx2,fma"), 32);
#endif
WHENCE_PEAK(portable_loop, noinline, 16);

// GFLOP/s in T.
template <typename T>
double measured_peak() {
  double (*loop)(std::int64_t) = portable_loop<T>;
  std::int64_t bytes = portable_loop_bytes;
#if defined(__x86_64__)
  const std::string variant = NativeEngine::variants().front();
  if (variant == "avx512") loop = avx512_loop<T>, bytes = avx512_loop_bytes;
  if (variant == "avx2") loop = avx2_loop<T>, bytes = avx2_loop_bytes;
#endif
  constexpr std::int64_t rounds = 10000;
  const auto operations = static_cast<double>(rounds * 10 * 2 * bytes) / sizeof(T);
  double best = 0, sink = 0;
  for (int repetition = 0; repetition < 500; ++repetition)
    best = std::max(best, operations / seconds([&] { sink += loop(rounds); }));
  if (sink == 0) fail("the peak loop computed nothing");
  return best * 1e-9;
}

// -- Multiply-adds that the formulas need for one sample of a mini-batch; a GAN's has as many real as fake
// ones.

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

Needs needs(const Vae& vae) {
  double all = 0;
  for (const Network* network : {&vae.encoder(), &vae.decoder()})
    for (const Stage& stage : network->stages())
      all += static_cast<double>(stage.in.values() * stage.out.values());
  const Stage& front = vae.encoder().stages().front();
  const auto first = static_cast<double>(front.in.values() * front.out.values());
  return {3 * all - first, 2 * all - first, 2 * (3 * all - 2 * first)};
}

// -- Measurement.

struct Times {
  double torch, native;
};

// The smallest times of one call, in microseconds; a turn lasts some milliseconds.
Times compare(const std::function<void(const Engine&)>& call, const Engine& torch, const Engine& native,
              int turns) {
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
  for (int repetition = 0; repetition < turns; ++repetition) {
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

// A game to take turns on.
struct Subject {
  std::string name;
  std::shared_ptr<const Game> game;
  Batch batch;
  Needs need;
  double peak;
  std::vector<std::int64_t> replicas, queries;
  int turns;
};

void print_head(const char* name, const std::string& peaks) {
  fmt::print("peak of {}: {} (one thread)\n", NativeEngine::variants().front(), peaks);
  fmt::print("{:18} {:22} {:>10} {:>10} {:>8} {:>10} {:>8}\n", name, "us a replica or query", "torch",
             "native", "ratio", "GFLOP/s", "of peak");
}

void print_ratios(const Subject& of) {
  const AutogradEngine torch(of.game);
  const NativeEngine native(of.game);
  const at::Tensor params = of.game->initial_parameters(1);
  const auto row = [&](const std::string& what, std::int64_t count, double multiply_adds,
                       const std::function<void(const Engine&)>& call) {
    const Times times = compare(call, torch, native, of.turns);
    const double flops = 2 * multiply_adds * static_cast<double>(of.batch.divisor) / times.native * 1e-3;
    fmt::print("{:18} {:22} {:10.1f} {:10.1f} {:8.1f} {:10.1f} {:7.0f}%\n", of.name, what,
               times.torch / static_cast<double>(count), times.native / static_cast<double>(count),
               times.torch / times.native, flops, 100 * flops / of.peak);
  };
  for (const std::int64_t replicas : of.replicas) {
    const at::Tensor all = params.repeat({replicas, 1});
    const at::Tensor weights = at::ones({replicas, of.batch.divisor}, params.options());
    row(fmt::format("gradient, {} replicas", replicas), replicas,
        static_cast<double>(replicas) * of.need.gradient,
        [&](const Engine& engine) { engine.gradient(all, of.batch, weights); });
  }
  for (const std::int64_t queries : of.queries)
    for (const double kink : {0.0, 1e-3}) {
      const at::Tensor u = numbers(queries, params.size(0), 3).to(params.scalar_type());
      row(fmt::format("trace, {} queries, h={}", queries, kink), queries,
          of.need.values_and_adjoints + static_cast<double>(queries) * of.need.query,
          [&](const Engine& engine) { engine.trace(params, of.batch, u, kink); });
    }
}

Subject fcgan(const std::string& name, const FcganOptions& options, double peak) {
  constexpr std::int64_t batch = 100;
  return {name,
          std::make_shared<Fcgan>(options),
          {numbers(batch, options.data_width, 1), numbers(batch, options.latent_size, 2), batch},
          needs(options),
          peak,
          {1, 32},
          {1, 8},
          60};
}

Subject vae(const std::string& name, const std::vector<std::int64_t>& hidden, std::int64_t latent,
            at::ScalarType dtype, double peak) {
  constexpr std::int64_t pixels = 784, batch = 64;
  VaeOptions options = mlp_vae(pixels, hidden, latent);
  options.beta = 4;
  options.dtype = dtype;
  const auto game = std::make_shared<Vae>(options);
  const bool small = hidden.front() < 500;
  return {name + (dtype == at::kFloat ? ", float32" : ", float64"),
          game,
          {numbers(batch, pixels, 1).sigmoid().to(dtype), numbers(batch, latent, 2).to(dtype), batch},
          needs(*game),
          peak,
          {1, small ? 32 : 4},
          {1, small ? 8 : 4},
          small ? 60 : 8};
}

}  // namespace

void print_engine_ratios(const std::string& game) {
  at::set_num_threads(1);
  const double peak = measured_peak<double>(), single = measured_peak<float>();
  if (game == "fcgan") {
    print_head("FCGAN", fmt::format("{:.1f} GFLOP/s in float64", peak));
    constexpr auto relu = Activation::relu, linear = Activation::linear;
    print_ratios(fcgan("published", {2, 10, {32, 32}, {64, 64}, relu, linear, false, 0, at::kDouble}, peak));
    print_ratios(fcgan("small", {2, 10, {32}, {64}, relu, linear, false, 0, at::kDouble}, peak));
    return;
  }
  if (game != "mlp-vae") refuse("--engines: '{}' is not fcgan or mlp-vae", game);
  print_head("mlp-vae", fmt::format("{:.1f} GFLOP/s in float64, {:.1f} in float32", peak, single));
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const double most = dtype == at::kFloat ? single : peak;
    print_ratios(vae("d = 8", {64, 32}, 8, dtype, most));
    print_ratios(vae("d = 128", {1024, 512, 256}, 128, dtype, most));
  }
}

}  // namespace whence::bench
