#pragma once
// Counter-based random streams: every draw is a pure function of (seed, purpose, step, index).

#include <cstdint>
#include <vector>

namespace whence {

/// What a stream's numbers are for. Two purposes never share a draw; the numbers are part of the file format
/// (a run is replayed from its seed), so existing values must not change.
enum class Purpose : std::uint32_t {
  initial_parameters = 1,
  shuffle = 2,
  training_latents = 3,
  validation_latents = 4,
  training_data = 5,
  held_out_data = 6,
  targets = 7,
  split = 8,
  planted = 32,
  tracin_instances = 33,
  tracin_queries = 34,
  mixtures = 35,
  test_data = 20,
  test_latents = 21,
  isolation_forest = 22,
  random_selection = 23,
  groups = 24,
  bootstrap = 25,
  paths = 26,
  random_truths = 27,
  pilots = 28,
  probes = 29,
};

/// The draws of one (seed, purpose, step), addressed by index. Philox4x32-10 (Salmon et al., SC 2011) through
/// ATen's engine: key = seed, counter = (index / 2, purpose and step), two draws to a counter, so that no
/// state is shared, no draw depends on the order of draws, and any rank can make any of them.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t step = 0);

  /// 64 random bits.
  std::uint64_t bits(std::uint64_t index) const;

  /// Uniform on [0, 1) with 53 random bits.
  double uniform(std::uint64_t index) const;

  /// Fills `out` with the standard normal draws of indices first, first + 1, ... (Box-Muller; draws 2i and
  /// 2i+1 share one counter, so the values do not depend on where a range starts).
  void normal(std::uint64_t first, double* out, std::size_t count) const;

  /// A permutation of 0 .. n-1, by sorting random keys (equal keys in order of index).
  std::vector<std::int64_t> permutation(std::int64_t n) const;

 private:
  std::uint64_t seed_;
  std::uint64_t subsequence_;
};

}  // namespace whence
