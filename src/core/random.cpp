#include "whence/core/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/core/PhiloxRNGEngine.h>

namespace whence {
namespace {

struct Draw {
  std::uint64_t low, high;
};

Draw philox(std::uint64_t seed, std::uint64_t subsequence, std::uint64_t counter) {
  at::Philox4_32 engine(seed, subsequence, counter);
  const auto word = [&engine] { return static_cast<std::uint64_t>(engine()); };
  const std::uint64_t a = word(), b = word(), c = word(), d = word();
  return {a | (b << 32), c | (d << 32)};
}

double to_unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t step)
    : seed_(seed), subsequence_((static_cast<std::uint64_t>(purpose) << 32) | step) {}

std::uint64_t RandomStream::bits(std::uint64_t index) const {
  const Draw draw = philox(seed_, subsequence_, index / 2);
  return index % 2 == 0 ? draw.low : draw.high;
}

double RandomStream::uniform(std::uint64_t index) const { return to_unit(bits(index)); }

void RandomStream::normal(std::uint64_t first, double* out, std::size_t count) const {
  constexpr double two_pi = 6.283185307179586476925286766559;
  for (std::uint64_t i = first, end = first + count; i < end;) {
    const Draw draw = philox(seed_, subsequence_, i / 2);
    // 1 - u lies in (0, 1], where the logarithm is finite.
    const double radius = std::sqrt(-2.0 * std::log(1.0 - to_unit(draw.low)));
    const double angle = two_pi * to_unit(draw.high);
    if (i % 2 == 0) {
      *out++ = radius * std::cos(angle);
      ++i;
    }
    if (i < end && i % 2 == 1) {
      *out++ = radius * std::sin(angle);
      ++i;
    }
  }
}

std::vector<std::int64_t> RandomStream::permutation(std::int64_t n) const {
  std::vector<std::uint64_t> key(n);
  for (std::int64_t i = 0; i < n; ++i) key[i] = bits(i);
  std::vector<std::int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&key](std::int64_t a, std::int64_t b) { return key[a] != key[b] ? key[a] < key[b] : a < b; });
  return order;
}

}  // namespace whence
