#pragma once
// Mini-batches as native engines of perceptrons take them in.

#include <algorithm>
#include <cstddef>

#include "whence/native/arrays.h"

namespace whence::native {

/// A mini-batch, or a slice of one (see Batch).
template <typename T>
struct Samples {
  const T* instances;  ///< [real, width]
  const T* latents;    ///< [fake, latent size]
  std::size_t real, fake;
  T divisor;
  bool carries_penalty;
};

/// to[feature][first + sample] = from[sample][feature].
template <typename T>
void copy_samples(const T* from, std::size_t samples, std::size_t width, std::size_t first,
                  std::ptrdiff_t stride, T* to) {
  for (std::size_t feature = 0; feature < width; ++feature)
    for (std::size_t sample = 0; sample < samples; ++sample)
      to[static_cast<std::ptrdiff_t>(feature) * stride + static_cast<std::ptrdiff_t>(first + sample)] =
          from[sample * width + feature];
}

/// Padding of an input repeats the first sample: no number appears in it that does not appear elsewhere.
template <typename T>
void fill_padding(const Arrays<T>& arrays, std::size_t width, T* input) {
  if (arrays.samples() == 0) return;
  for (std::size_t feature = 0; feature < width; ++feature) {
    T* row = input + static_cast<std::ptrdiff_t>(feature) * arrays.stride();
    std::fill(row + arrays.samples(), row + arrays.columns(), row[0]);
  }
}

}  // namespace whence::native
