// Random streams: Philox as published, and draws that depend on nothing but their address.
#include "whence/core/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

namespace whence {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// Philox4x32-10 written down from Salmon et al. (SC 2011), independently of ATen's.
Counter philox(Counter counter, Key key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2511F53ull * counter[0], b = 0xCD9E8D57ull * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

std::uint64_t joined(std::uint32_t low, std::uint32_t high) {
  return low | static_cast<std::uint64_t>(high) << 32;
}

std::vector<double> normals(const RandomStream& stream, std::uint64_t first, std::size_t count) {
  std::vector<double> values(count);
  stream.normal(first, values.data(), count);
  return values;
}

// The answers of Random123's kat_vectors. Indices have 64 bits and two share a counter, so only the first is
// within a stream's reach; the others hold the reference that streams are compared with below.
TEST(Philox, GivesRandom123sKnownAnswers) {
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));

  const RandomStream zero(0, Purpose{0}, 0);
  EXPECT_EQ(zero.bits(0), joined(0x6627e8d5, 0xe169c58d));
  EXPECT_EQ(zero.bits(1), joined(0xbc57ac4c, 0x9b00dbd8));
}

TEST(RandomStream, IsPhiloxOfSeedPurposeStepAndIndex) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const std::vector<std::uint64_t> numbers{0, 1, 2, 7, 0xffffffff, 0x100000000, 0x243f6a8885a308d3, most};
  for (const std::uint64_t seed : numbers)
    for (const Purpose purpose : {Purpose::initial_parameters, Purpose::shuffle, Purpose::split})
      for (const std::uint32_t step : {0u, 1u, 123456789u, 0xffffffffu})
        for (const std::uint64_t index : numbers) {
          const std::uint64_t pair = index / 2;
          const Counter words =
              philox({static_cast<std::uint32_t>(pair), static_cast<std::uint32_t>(pair >> 32), step,
                      static_cast<std::uint32_t>(purpose)},
                     {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
          const std::size_t half = 2 * (index % 2);
          ASSERT_EQ(RandomStream(seed, purpose, step).bits(index), joined(words[half], words[half + 1]))
              << "seed " << seed << ", purpose " << words[3] << ", step " << step << ", index " << index;
        }
}

// Runs are replayed from their seed: a purpose that is renumbered would replay another run.
TEST(RandomStream, PurposesKeepTheirNumbers) {
  const std::vector<Purpose> purposes{Purpose::initial_parameters,
                                      Purpose::shuffle,
                                      Purpose::training_latents,
                                      Purpose::validation_latents,
                                      Purpose::training_data,
                                      Purpose::held_out_data,
                                      Purpose::targets,
                                      Purpose::split};
  for (std::size_t i = 0; i < purposes.size(); ++i) EXPECT_EQ(static_cast<std::size_t>(purposes[i]), i + 1);
}

TEST(RandomStream, UniformIsTheTop53Bits) {
  const RandomStream stream(3, Purpose::targets, 4);
  for (std::uint64_t i = 0; i < 100; ++i)
    EXPECT_EQ(std::ldexp(stream.uniform(i), 53), static_cast<double>(stream.bits(i) >> 11));
}

TEST(RandomStream, NormalDrawsAreBoxMullerOfTheirPairsUniforms) {
  const RandomStream stream(6, Purpose::held_out_data, 2);
  const std::vector<double> values = normals(stream, 0, 1000);
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const double radius = std::sqrt(-2 * std::log1p(-stream.uniform(i)));
    const double angle = 2 * std::acos(-1.0) * stream.uniform(i + 1);
    EXPECT_NEAR(values[i], radius * std::cos(angle), 1e-14);
    EXPECT_NEAR(values[i + 1], radius * std::sin(angle), 1e-14);
  }
}

TEST(RandomStream, NormalDrawsDoNotDependOnWhereARangeStarts) {
  const RandomStream stream(1, Purpose::training_latents, 9);
  const std::vector<double> all = normals(stream, 0, 20);
  for (std::size_t first = 0; first <= 20; ++first)
    for (std::size_t end = first; end <= 20; ++end)
      EXPECT_EQ(normals(stream, first, end - first),
                std::vector<double>(all.begin() + first, all.begin() + end));
  const std::uint64_t far = 0xfffffffffffffff0;
  EXPECT_EQ(normals(stream, far + 3, 1)[0], normals(stream, far, 8)[3]);
}

TEST(RandomStream, NormalWritesNothingBeyondItsRange) {
  for (std::uint64_t first : {0, 1})
    for (std::size_t count : {0, 1, 2, 3}) {
      std::vector<double> values(5, -99.0);
      RandomStream(1, Purpose::targets).normal(first, values.data(), count);
      EXPECT_EQ(std::count(values.begin(), values.end(), -99.0), 5 - static_cast<int>(count));
    }
}

TEST(RandomStream, StreamsOfAnotherSeedPurposeOrStepAreOthers) {
  const RandomStream here(1, Purpose::shuffle, 1);
  for (const RandomStream& other :
       {RandomStream(2, Purpose::shuffle, 1), RandomStream(1, Purpose::targets, 1),
        RandomStream(1, Purpose::shuffle, 2)}) {
    int equal = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) equal += here.bits(i) == other.bits(i);
    EXPECT_EQ(equal, 0);
    EXPECT_NE(here.permutation(100), other.permutation(100));
  }
}

TEST(RandomStream, PermutationsArePermutations) {
  for (const std::int64_t n : {0, 1, 2, 3, 10, 1000}) {
    const RandomStream stream(5, Purpose::shuffle, 2);
    std::vector<std::int64_t> order = stream.permutation(n), all(n);
    EXPECT_EQ(order, stream.permutation(n));
    std::iota(all.begin(), all.end(), 0);
    if (n >= 10) {
      EXPECT_NE(order, all);
    }
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, all);
  }
}

TEST(RandomStream, PermutationsAreEquallyLikely) {
  std::map<std::vector<std::int64_t>, double> count;
  constexpr int draws = 60000;
  for (int step = 0; step < draws; ++step) ++count[RandomStream(1, Purpose::shuffle, step).permutation(3)];
  ASSERT_EQ(count.size(), 6u);
  double chi_squared = 0;
  for (const auto& [order, times] : count)
    chi_squared += (times - draws / 6.0) * (times - draws / 6.0) / (draws / 6.0);
  EXPECT_LT(chi_squared, 35);  // 5 degrees of freedom: exceeded by chance once in 700000
}

}  // namespace
}  // namespace whence
