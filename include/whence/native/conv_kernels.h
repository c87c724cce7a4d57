#pragma once
// The loops of native convolutional networks, compiled once for each kind of processor and chosen at run
// time.
//
// Samples fill the lanes of vectors: a map of features of `lanes` samples is
// [height][width][channels][lanes], within `map_border` pixels of zeros on each side, so that a convolution
// with any number of channels is multiplications of a vector by a weight, and a layer's norm over one sample
// is a sum within a lane. Pointers to maps point to pixel (0, 0). Weights are [tap][in][out] or any other
// strides.

#include <cstddef>
#include <vector>

#include "whence/net/activation_kind.h"

namespace whence::native {

constexpr int map_border = 2;

/// Geometry of a map; strides in vectors.
struct Map {
  int height = 0, width = 0, channels = 0;
  // Inlined wherever they are called: an out-of-line copy could be the one for another kind of processor.
  __attribute__((always_inline)) std::ptrdiff_t row() const {
    return static_cast<std::ptrdiff_t>(width + 2 * map_border) * channels;
  }
  /// Vectors of the whole map, and of its border before pixel (0, 0).
  __attribute__((always_inline)) std::ptrdiff_t size() const { return (height + 2 * map_border) * row(); }
  __attribute__((always_inline)) std::ptrdiff_t origin() const {
    return map_border * row() + map_border * channels;
  }
};

/// Which pixels meet: (r, c) of the small map with (r stride + i - padding, c stride + j - padding) of the
/// large one at tap (i, j). A convolution goes from large to small, a transposed one from small to large.
struct Window {
  int kernel = 1, stride = 1, padding = 0;
};

/// y = scale (x' * w' + bias) + x * w, a convolution or (`transposed`) a transposed one. Weight of tap t from
/// channel i to channel o at w[t * tap + i * in + o * out].
template <typename T>
struct Gather {
  Map from, to;
  Window window;
  bool transposed = false;
  std::ptrdiff_t tap = 0, in = 0, out = 0;
  const T *x = nullptr, *w = nullptr;                ///< null: absent
  const T *second_x = nullptr, *second_w = nullptr;  ///< null: absent
  const T* bias = nullptr;                           ///< [to.channels], or null for 0
  const T* scale = nullptr;                          ///< [lanes], or null for 1
  T* y = nullptr;
};

/// sums[t * tap + i * small_step + k * large_step] += scale sum_pixels small_i large_k + small'_i large'_k,
/// in each lane; steps in vectors.
template <typename T>
struct Correlate {
  Map small_map, large_map;
  Window window;
  std::ptrdiff_t tap = 0, small_step = 0, large_step = 0;
  const T *small = nullptr, *large = nullptr;
  const T *second_small = nullptr, *second_large = nullptr;  ///< null: absent
  const T* scale = nullptr;                                  ///< [lanes] of the first product, or null for 1
  T* scratch = nullptr;                                      ///< a row of the small map, where scale is given
  T* sums = nullptr;
};

/// A layer after its products: s = act(a), then, if it has a norm, h = gain (s - mean) / sqrt(var + 1e-12) +
/// offset with mean and variance over all of a sample's values (Ba et al., "Layer Normalization", 2016).
/// Arrays of one value a lane are [lanes]; x = (s - mean) root, root = 1 / sqrt(var + 1e-12).
template <typename T>
struct LayerValues {
  Map map;
  Activation activation = Activation::linear;
  const T *gain = nullptr, *offset = nullptr;  ///< [channels], or null without a norm
  T *s = nullptr, *h = nullptr;                ///< the same without a norm
  T *mean = nullptr, *root = nullptr;
  T *dh = nullptr, *da = nullptr;  ///< adjoints of h and a; may be the same array
  T *mean_g = nullptr, *mean_gx = nullptr;
  T *sum_dh = nullptr, *sum_dhx = nullptr;  ///< [channels] vectors; over pixels
};

/// The tangent of a layer along scale (gain', offset') and that of its a.
template <typename T>
struct LayerTangent {
  const T *gain = nullptr, *offset = nullptr;  ///< the direction; [channels]
  const T* scale = nullptr;                    ///< [lanes], or null for 1
  T *s = nullptr, *h = nullptr;
  T *mean_s = nullptr, *mean_sx = nullptr;
  T *dh = nullptr, *da = nullptr;  ///< tangents of the adjoints; may be the same array
};

/// Sums over pixels, in each lane, of what the layer's own parameters' derivatives are made of: [channels]
/// vectors each. `bias` may be null where nobody wants them.
template <typename T>
struct LayerSums {
  T *bias = nullptr, *gain = nullptr, *offset = nullptr;
  const T* scale = nullptr;  ///< [lanes], or null for 1
};

template <typename T>
struct Kernels;

template <typename T>
struct ConvKernels {
  const char* name;
  std::size_t lanes;
  void (*gather)(const Gather<T>&);
  void (*correlate)(const Correlate<T>&);
  void (*forward)(const LayerValues<T>&);                          ///< a in s; s, h, mean, root
  void (*backward)(const LayerValues<T>&, const LayerSums<T>&);    ///< dh; da, mean_g .. sum_dhx, sums
  void (*tangent)(const LayerValues<T>&, const LayerTangent<T>&);  ///< a' in s; s, h, mean_s, mean_sx
  void (*tangent_backward)(const LayerValues<T>&, const LayerTangent<T>&, const LayerSums<T>&);
  /// y = the largest of each 2 x 2 pixels of x; y is half as high and wide (rounded down).
  void (*pool)(const Map& from, const T* x, T* y);
  /// dx = dy at the first largest pixel of each 2 x 2, 0 elsewhere.
  void (*pool_backward)(const Map& from, const T* x, const T* dy, T* dx);
  /// y[lane] = sum over the map of a b.
  void (*dot)(const Map& map, const T* a, const T* b, T* y);
  /// y = factor x over the map; factor [lanes].
  void (*scale)(const Map& map, const T* factor, const T* x, T* y);
  /// y += x over the map.
  void (*add)(const Map& map, const T* x, T* y);
  /// y[i] += the lanes of sums[i] added up, i < count.
  void (*add_lanes)(std::size_t count, const T* sums, T* y);
};

/// The variants that this processor can run, the fastest first; the last is always "portable".
template <typename T>
std::vector<const ConvKernels<T>*> available_conv_kernels();

/// The functions that are compiled for the same kind of processor.
template <typename T>
const Kernels<T>& functions_beside(const ConvKernels<T>& convolutions);

/// What traces take in the place of `usual`. The maps of a trace do not fit into a core's caches. AMD's Zen 4
/// takes 512 bits in two halves, as long as 256 bits twice; so on AMD's processors with AVX-512 vectors of
/// traces are half as wide, and the maps half as large.
template <typename T>
const ConvKernels<T>& trace_conv_kernels(const ConvKernels<T>& usual);

}  // namespace whence::native
