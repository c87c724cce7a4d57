#pragma once
// A convolutional network over one vector of samples: values, adjoints, and tangents of both.

#include <cstddef>
#include <memory>
#include <vector>

#include "whence/native/conv_kernels.h"
#include "whence/net/network.h"

namespace whence::native {

/// Zeroed memory for maps and for arrays of one value a lane.
template <typename T>
class MapMemory {
 public:
  explicit MapMemory(std::size_t lanes) : lanes_(lanes) {}
  /// Points to pixel (0, 0).
  T* map(const Map& map);
  T* vectors(std::size_t count);
  std::size_t lanes() const { return lanes_; }

 private:
  struct Free {
    void operator()(T* memory) const;
  };
  std::size_t lanes_;
  std::vector<std::unique_ptr<T, Free>> blocks_;
};

Map map_of(const ImageSize& size);

/// Samples begin .. begin + count - 1 (at most `lanes`) of x [samples, channels height width] into a map;
/// lanes without a sample are 0. And a map's first `count` lanes back into rows.
template <typename T>
void load_samples(const Map& map, std::size_t lanes, const T* x, std::size_t begin, std::size_t count, T* to);
template <typename T>
void store_samples(const Map& map, std::size_t lanes, const T* from, std::size_t begin, std::size_t count,
                   T* x);

/// What a backward pass goes through and leaves behind.
template <typename T>
struct Backward {
  T* sums = nullptr;         ///< [P] vectors that derivatives by theta are added to, or null
  const T* scale = nullptr;  ///< [lanes] for those, or null for 1
  bool to_input = false;     ///< whether the input's adjoint is wanted
  /// Stages to go through, from the later to the earlier one; all by default. A stage before which others
  /// follow later always passes its adjoint on.
  std::size_t from = static_cast<std::size_t>(-1), until = 0;
};

/// Values and adjoints. `keep_adjoints`: those of each layer's sums as well, which a tangent needs.
template <typename T>
class ConvPass {
 public:
  ConvPass(const Network& net, const ConvKernels<T>& kernels, bool keep_adjoints);

  /// The input's map, which may be filled before `forward`.
  T* input() { return own_input_; }
  /// `x`: the input's map, here or elsewhere, unchanged until the pass is no longer needed.
  void forward(const T* params, const T* x);
  T* output() { return layers_.back().h; }
  T* output(std::size_t stage) { return layers_[stage].h; }
  /// The adjoint of what stage `stage` takes in; that of the network's output for stage = stages. To be
  /// filled before `backward`.
  T* adjoint(std::size_t stage) { return adjoints_[stage]; }
  T* output_adjoint() { return adjoints_.back(); }
  void backward(const T* params, const Backward<T>& how);

  std::size_t stages() const { return stages_.size(); }
  Map input_map() const { return map_of(stages_.front().in); }
  Map output_map() const { return map_of(stages_.back().out); }

 private:
  template <typename>
  friend class ConvTangent;

  const T* input_of(std::size_t stage) const { return stage == 0 ? x_ : layers_[stage - 1].h; }
  void set_parameters(const T* params);
  LayerSums<T> sums_of(std::size_t stage, T* sums, const T* scale) const;
  Gather<T> gather(std::size_t stage, bool reverse) const;
  Correlate<T> correlate(std::size_t stage, T* sums) const;
  void correlate_with(Correlate<T>& c, std::size_t stage, const T* x, const T* da, bool second) const;

  const std::vector<Stage>& stages_;
  const ConvKernels<T>& kernels_;
  MapMemory<T> memory_;
  T* own_input_;
  const T* x_ = nullptr;
  std::vector<LayerValues<T>> layers_;
  std::vector<T*> adjoints_;
  T* scratch_;
};

/// The tangent of a pass along `scale` * direction in theta and a tangent of its input. Not for networks that
/// pool.
template <typename T>
class ConvTangent {
 public:
  explicit ConvTangent(const ConvPass<T>& pass);

  /// `input`: the input's tangent map, or null for 0. `scale`: [lanes], or null for 1.
  void forward(const T* params, const T* direction, const T* input, const T* scale);
  T* output() { return layers_.back().h; }
  /// From now on this network's output has the adjoint of `next`'s input, in the same memory.
  void take_output_adjoint_from(const ConvTangent& next);
  /// The tangent of the adjoint, as that of ConvPass.
  T* output_adjoint() { return adjoints_.back(); }
  /// Adds the tangents of derivatives by theta to `sums`; after ConvPass::backward of the same adjoints.
  void backward(const T* params, T* sums, bool to_input);

 private:
  const ConvPass<T>& pass_;
  MapMemory<T> memory_;
  std::vector<LayerTangent<T>> layers_;
  std::vector<T*> adjoints_;
  const T *input_ = nullptr, *direction_ = nullptr, *scale_ = nullptr;
};

}  // namespace whence::native
