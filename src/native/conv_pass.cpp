#include "whence/native/conv_pass.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "whence/core/error.h"

namespace whence::native {

template <typename T>
void MapMemory<T>::Free::operator()(T* memory) const {
  std::free(memory);
}

template <typename T>
T* MapMemory<T>::vectors(std::size_t count) {
  constexpr std::size_t line = 64;
  // Arrays begin at different offsets within a page: loads and stores whose addresses differ by whole pages
  // hinder each other.
  const std::size_t offset = blocks_.size() % 13 * 4 * line;
  const std::size_t bytes = (count * lanes_ * sizeof(T) + offset + line - 1) / line * line + line;
  T* block = static_cast<T*>(std::aligned_alloc(line, bytes));
  if (block == nullptr) throw std::bad_alloc();
  std::memset(block, 0, bytes);
  blocks_.emplace_back(block);
  return block + offset / sizeof(T);
}

template <typename T>
T* MapMemory<T>::map(const Map& map) {
  return vectors(map.size()) + map.origin() * static_cast<std::ptrdiff_t>(lanes_);
}

Map map_of(const ImageSize& size) {
  return {static_cast<int>(size.height), static_cast<int>(size.width), static_cast<int>(size.channels)};
}

namespace {

// f(place in a row of numbers, place in the map) for every value of a sample.
template <typename Function>
void each_value(const Map& map, std::size_t lanes, const Function& f) {
  std::size_t value = 0;
  for (int k = 0; k < map.channels; ++k)
    for (int r = 0; r < map.height; ++r)
      for (int c = 0; c < map.width; ++c)
        f(value++, (r * map.row() + static_cast<std::ptrdiff_t>(c) * map.channels + k) *
                       static_cast<std::ptrdiff_t>(lanes));
}

}  // namespace

template <typename T>
void load_samples(const Map& map, std::size_t lanes, const T* x, std::size_t begin, std::size_t count,
                  T* to) {
  const std::size_t width = static_cast<std::size_t>(map.height) * map.width * map.channels;
  each_value(map, lanes, [&](std::size_t value, std::ptrdiff_t place) {
    for (std::size_t lane = 0; lane < lanes; ++lane)
      to[place + static_cast<std::ptrdiff_t>(lane)] = lane < count ? x[(begin + lane) * width + value] : T(0);
  });
}

template <typename T>
void store_samples(const Map& map, std::size_t lanes, const T* from, std::size_t begin, std::size_t count,
                   T* x) {
  const std::size_t width = static_cast<std::size_t>(map.height) * map.width * map.channels;
  each_value(map, lanes, [&](std::size_t value, std::ptrdiff_t place) {
    for (std::size_t lane = 0; lane < count; ++lane)
      x[(begin + lane) * width + value] = from[place + static_cast<std::ptrdiff_t>(lane)];
  });
}

template <typename T>
ConvPass<T>::ConvPass(const Network& net, const ConvKernels<T>& kernels, bool keep_adjoints)
    : stages_(net.stages()),
      kernels_(kernels),
      memory_(kernels.lanes),
      own_input_(memory_.map(map_of(net.input()))) {
  adjoints_.push_back(memory_.map(map_of(net.input())));
  std::size_t longest_row = 1;
  for (const Stage& stage : stages_) {
    const Map map = map_of(stage.out);
    LayerValues<T> layer;
    layer.map = map;
    layer.activation = stage.layer.activation;
    layer.s = layer.h = memory_.map(map);
    if (stage.layer.norm) {
      layer.h = memory_.map(map);
      for (T** array : {&layer.mean, &layer.root, &layer.mean_g, &layer.mean_gx}) *array = memory_.vectors(1);
      for (T** array : {&layer.sum_dh, &layer.sum_dhx}) *array = memory_.vectors(map.channels);
    }
    layer.dh = memory_.map(map);
    layer.da = keep_adjoints ? memory_.map(map) : layer.dh;
    adjoints_.push_back(layer.dh);
    layers_.push_back(layer);
    for (const ImageSize& size : {stage.in, stage.out})
      longest_row = std::max(longest_row, static_cast<std::size_t>(size.width * size.channels));
  }
  scratch_ = memory_.vectors(longest_row);
}

template <typename T>
void ConvPass<T>::set_parameters(const T* params) {
  for (std::size_t i = 0; i < stages_.size(); ++i)
    if (stages_[i].layer.norm) {
      layers_[i].gain = params + stages_[i].gain;
      layers_[i].offset = params + stages_[i].offset;
    }
}

// The products of a layer, or of its adjoint.
template <typename T>
Gather<T> ConvPass<T>::gather(std::size_t i, bool reverse) const {
  const Stage& stage = stages_[i];
  Gather<T> g;
  g.from = map_of(reverse ? stage.out : stage.in);
  g.to = map_of(reverse ? stage.in : stage.out);
  g.window = {static_cast<int>(stage.layer.kernel), static_cast<int>(stage.layer.stride),
              static_cast<int>(stage.layer.padding)};
  g.transposed = (stage.layer.kind == LayerKind::transposed) != reverse;
  g.tap = stage.in.channels * stage.out.channels;
  g.in = reverse ? 1 : stage.out.channels;
  g.out = reverse ? stage.out.channels : 1;
  return g;
}

template <typename T>
Correlate<T> ConvPass<T>::correlate(std::size_t i, T* sums) const {
  const Stage& stage = stages_[i];
  const bool transposed = stage.layer.kind == LayerKind::transposed;
  Correlate<T> c;
  c.small_map = map_of(transposed ? stage.in : stage.out);
  c.large_map = map_of(transposed ? stage.out : stage.in);
  c.window = {static_cast<int>(stage.layer.kernel), static_cast<int>(stage.layer.stride),
              static_cast<int>(stage.layer.padding)};
  c.tap = stage.in.channels * stage.out.channels;
  c.small_step = transposed ? stage.out.channels : 1;
  c.large_step = transposed ? 1 : stage.out.channels;
  c.scratch = scratch_;
  c.sums = sums + stage.weight * static_cast<std::int64_t>(kernels_.lanes);
  return c;
}

template <typename T>
void ConvPass<T>::correlate_with(Correlate<T>& c, std::size_t i, const T* x, const T* da, bool second) const {
  const bool transposed = stages_[i].layer.kind == LayerKind::transposed;
  (second ? c.second_small : c.small) = transposed ? x : da;
  (second ? c.second_large : c.large) = transposed ? da : x;
}

template <typename T>
LayerSums<T> ConvPass<T>::sums_of(std::size_t i, T* sums, const T* scale) const {
  if (sums == nullptr) return {};
  const Stage& stage = stages_[i];
  const auto lanes = static_cast<std::int64_t>(kernels_.lanes);
  LayerSums<T> result{sums + stage.bias * lanes, nullptr, nullptr, scale};
  if (stage.layer.norm) {
    result.gain = sums + stage.gain * lanes;
    result.offset = sums + stage.offset * lanes;
  }
  return result;
}

template <typename T>
void ConvPass<T>::forward(const T* params, const T* x) {
  x_ = x;
  set_parameters(params);
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    if (stages_[i].layer.kind == LayerKind::pool) {
      kernels_.pool(map_of(stages_[i].in), input_of(i), layers_[i].h);
      continue;
    }
    Gather<T> g = gather(i, false);
    g.x = input_of(i);
    g.w = params + stages_[i].weight;
    g.bias = params + stages_[i].bias;
    g.y = layers_[i].s;
    kernels_.gather(g);
    kernels_.forward(layers_[i]);
  }
}

template <typename T>
void ConvPass<T>::backward(const T* params, const Backward<T>& how) {
  const std::size_t count = std::min(stages_.size(), how.from + (how.from < stages_.size() ? 1 : 0));
  for (std::size_t i = count; i-- > how.until;) {
    if (stages_[i].layer.kind == LayerKind::pool) {
      kernels_.pool_backward(map_of(stages_[i].in), input_of(i), adjoints_[i + 1], adjoints_[i]);
      continue;
    }
    kernels_.backward(layers_[i], sums_of(i, how.sums, how.scale));
    if (i > 0 || how.to_input) {
      Gather<T> g = gather(i, true);
      g.x = layers_[i].da;
      g.w = params + stages_[i].weight;
      g.y = adjoints_[i];
      kernels_.gather(g);
    }
    if (how.sums != nullptr) {
      Correlate<T> c = correlate(i, how.sums);
      correlate_with(c, i, input_of(i), layers_[i].da, false);
      c.scale = how.scale;
      kernels_.correlate(c);
    }
  }
}

template <typename T>
ConvTangent<T>::ConvTangent(const ConvPass<T>& pass) : pass_(pass), memory_(pass.kernels_.lanes) {
  adjoints_.push_back(memory_.map(map_of(pass.stages_.front().in)));
  for (const Stage& stage : pass.stages_) {
    if (stage.layer.kind == LayerKind::pool) fail("native engine: no tangents of networks that pool");
    const Map map = map_of(stage.out);
    LayerTangent<T> layer;
    layer.s = layer.h = memory_.map(map);
    if (stage.layer.norm) {
      layer.h = memory_.map(map);
      layer.mean_s = memory_.vectors(1);
      layer.mean_sx = memory_.vectors(1);
    }
    layer.dh = layer.da = memory_.map(map);
    adjoints_.push_back(layer.dh);
    layers_.push_back(layer);
  }
}

template <typename T>
void ConvTangent<T>::take_output_adjoint_from(const ConvTangent& next) {
  layers_.back().dh = layers_.back().da = adjoints_.back() = next.adjoints_.front();
}

template <typename T>
void ConvTangent<T>::forward(const T* params, const T* direction, const T* input, const T* scale) {
  input_ = input;
  direction_ = direction;
  scale_ = scale;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Stage& stage = pass_.stages_[i];
    LayerTangent<T>& layer = layers_[i];
    Gather<T> g = pass_.gather(i, false);
    g.x = i == 0 ? input : layers_[i - 1].h;
    g.w = params + stage.weight;
    g.second_x = pass_.input_of(i);
    g.second_w = direction + stage.weight;
    g.bias = direction + stage.bias;
    g.scale = scale;
    g.y = layer.s;
    pass_.kernels_.gather(g);
    layer.gain = direction + stage.gain;
    layer.offset = direction + stage.offset;
    layer.scale = scale;
    pass_.kernels_.tangent(pass_.layers_[i], layer);
  }
}

template <typename T>
void ConvTangent<T>::backward(const T* params, T* sums, bool to_input) {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Stage& stage = pass_.stages_[i];
    pass_.kernels_.tangent_backward(pass_.layers_[i], layers_[i], pass_.sums_of(i, sums, nullptr));
    if (i > 0 || to_input) {
      Gather<T> g = pass_.gather(i, true);
      g.x = layers_[i].da;
      g.w = params + stage.weight;
      g.second_x = pass_.layers_[i].da;
      g.second_w = direction_ + stage.weight;
      g.scale = scale_;
      g.y = adjoints_[i];
      pass_.kernels_.gather(g);
    }
    Correlate<T> c = pass_.correlate(i, sums);
    pass_.correlate_with(c, i, pass_.input_of(i), layers_[i].da, false);
    const T* tangent = i == 0 ? input_ : layers_[i - 1].h;
    if (tangent != nullptr) pass_.correlate_with(c, i, tangent, pass_.layers_[i].da, true);
    pass_.kernels_.correlate(c);
  }
}

template class MapMemory<float>;
template class MapMemory<double>;
template class ConvPass<float>;
template class ConvPass<double>;
template class ConvTangent<float>;
template class ConvTangent<double>;
template void load_samples<float>(const Map&, std::size_t, const float*, std::size_t, std::size_t, float*);
template void load_samples<double>(const Map&, std::size_t, const double*, std::size_t, std::size_t, double*);
template void store_samples<float>(const Map&, std::size_t, const float*, std::size_t, std::size_t, float*);
template void store_samples<double>(const Map&, std::size_t, const double*, std::size_t, std::size_t,
                                    double*);

}  // namespace whence::native
