#include "whence/native/perceptron.h"

#include <algorithm>

namespace whence::native {
namespace {

// W_l x, or W_l^T x, with W_l inside `parameters`.
template <typename T>
Term<T> times(const DenseLayer& layer, const T* parameters, const T* x) {
  return {parameters + layer.weight, static_cast<std::ptrdiff_t>(layer.in), 1, x, layer.in};
}
template <typename T>
Term<T> transposed_times(const DenseLayer& layer, const T* parameters, const T* x) {
  return {parameters + layer.weight, 1, static_cast<std::ptrdiff_t>(layer.in), x, layer.out};
}

template <typename T>
const T* bias_of(const DenseLayer& layer, const T* parameters) {
  return layer.bias == DenseLayer::no_bias ? nullptr : parameters + layer.bias;
}

// Numbers that products of such a network need in `packed`, and outer products in `turned`.
template <typename T>
std::size_t packed_numbers(const Perceptron& net) {
  std::size_t widest = 0;
  for (const DenseLayer& layer : net) widest = std::max({widest, layer.in, layer.out});
  return 2 * packed_rows<T> * widest;
}
std::size_t turned_numbers(const Perceptron& net, std::size_t columns, std::size_t lanes) {
  std::size_t widest = 0;
  for (const DenseLayer& layer : net) widest = std::max(widest, layer.in);
  return 2 * columns * (widest + lanes);
}

// A product of all columns of a pass.
template <typename T>
Product<T> product_of(const Pass<T>& pass, std::size_t rows, T* packed) {
  Product<T> product;
  product.rows = rows;
  product.columns = pass.arrays.columns();
  product.stride = pass.arrays.stride();
  product.packed = packed;
  return product;
}

template <typename T>
Outer<T> outer_of(const Pass<T>& pass, const DenseLayer& layer) {
  Outer<T> outer;
  outer.rows = layer.out;
  outer.others = layer.in;
  outer.columns = pass.arrays.columns();
  outer.stride = pass.arrays.stride();
  return outer;
}

template <typename T>
std::size_t elements(const Pass<T>& pass, std::size_t rows) {
  return rows * static_cast<std::size_t>(pass.arrays.stride());
}

// sum_b weight[b] D[i][b] for every row i.
template <typename T>
void row_sums(const Pass<T>& pass, const DenseLayer& layer, const T* rows, const T* weight, T* sums) {
  Outer<T> outer = outer_of(pass, layer);
  outer.others = 1;
  outer.left = rows;
  outer.right = weight;
  outer.c = sums;
  pass.kernels.outer(outer);
}

}  // namespace

template <typename T>
Pass<T>::Pass(const Perceptron& a_net, std::size_t samples, const Kernels<T>& some_kernels,
              double a_kink_width)
    : net(a_net),
      kernels(some_kernels),
      arrays(samples, some_kernels.lanes),
      kink_width(static_cast<T>(a_kink_width)),
      h{arrays.rows(net.front().in)},
      present(arrays.rows(1)),
      packed(arrays.numbers(packed_numbers<T>(net))),
      turned(arrays.numbers(turned_numbers(net, arrays.columns(), some_kernels.lanes))) {
  for (const DenseLayer& layer : net) {
    const bool kinked = layer.activation == Activation::relu || layer.activation == Activation::leaky_relu;
    const bool tangents = a_kink_width >= 0;
    const bool curved = layer.activation != Activation::linear && (!kinked || a_kink_width > 0);
    h.push_back(arrays.rows(layer.out));
    adjoint.push_back(arrays.rows(layer.out));
    curvature.push_back(tangents && curved ? arrays.rows(layer.out) : nullptr);
    a.push_back(tangents && curved && kinked ? arrays.rows(layer.out) : nullptr);
  }
  for (std::size_t b = 0; b < samples; ++b) present[b] = 1;
}

template <typename T>
TangentPass<T>::TangentPass(const Pass<T>& pass)
    : arrays(pass.arrays.samples(), pass.kernels.lanes),
      h{arrays.rows(pass.net.front().in)},
      packed(arrays.numbers(packed_numbers<T>(pass.net))),
      turned(arrays.numbers(turned_numbers(pass.net, arrays.columns(), pass.kernels.lanes))) {
  for (std::size_t l = 0; l < pass.net.size(); ++l) {
    h.push_back(arrays.rows(pass.net[l].out));
    adjoint.push_back(arrays.rows(pass.net[l].out));
    a.push_back(pass.curvature[l] == nullptr ? nullptr : arrays.rows(pass.net[l].out));
  }
}

template <typename T>
void forward(Pass<T>& pass, const T* theta) {
  for (std::size_t l = 0; l < pass.net.size(); ++l) {
    const DenseLayer& layer = pass.net[l];
    Product<T> product = product_of(pass, layer.out, pass.packed);
    product.first = times(layer, theta, pass.h[l]);
    product.bias = bias_of(layer, theta);
    product.sum = pass.a[l];
    product.finish = Finish::activate;
    product.activation = layer.activation;
    product.y = pass.h[l + 1];
    pass.kernels.product(product);
  }
}

template <typename T>
void backward(Pass<T>& pass, const T* theta, const T* seed, T* input, std::size_t input_columns) {
  const std::size_t last = pass.net.size() - 1;
  const auto finish_curvature = [&](std::size_t l) {
    if (pass.curvature[l] == nullptr) return;
    pass.kernels.curvature(pass.net[l].activation, elements(pass, pass.net[l].out), pass.h[l + 1], pass.a[l],
                           pass.kink_width, pass.curvature[l]);
  };
  const std::size_t count = elements(pass, pass.net[last].out);
  pass.kernels.slope(pass.net[last].activation, count, pass.h[last + 1], seed, nullptr, nullptr,
                     pass.adjoint[last]);
  if (pass.curvature[last] != nullptr) std::memcpy(pass.curvature[last], seed, count * sizeof(T));
  finish_curvature(last);

  for (std::size_t l = last; l > 0; --l) {
    Product<T> product = product_of(pass, pass.net[l].in, pass.packed);
    product.first = transposed_times(pass.net[l], theta, pass.adjoint[l]);
    product.sum = pass.curvature[l - 1];
    product.finish = Finish::slope;
    product.activation = pass.net[l - 1].activation;
    product.value = pass.h[l];
    product.y = pass.adjoint[l - 1];
    pass.kernels.product(product);
    finish_curvature(l - 1);
  }
  if (input == nullptr) return;
  Product<T> product = product_of(pass, pass.net[0].in, pass.packed);
  product.columns = input_columns;
  product.first = transposed_times(pass.net[0], theta, pass.adjoint[0]);
  product.y = input;
  pass.kernels.product(product);
}

template <typename T>
void parameter_gradient(const Pass<T>& pass, const T* scale, T* gradient) {
  for (std::size_t l = 0; l < pass.net.size(); ++l) {
    const DenseLayer& layer = pass.net[l];
    Outer<T> outer = outer_of(pass, layer);
    outer.left = pass.adjoint[l];
    outer.right = pass.h[l];
    outer.scale = scale;
    outer.c = gradient + layer.weight;
    outer.turned = pass.turned;
    pass.kernels.outer(outer);
    if (layer.bias != DenseLayer::no_bias)
      row_sums(pass, layer, pass.adjoint[l], scale == nullptr ? pass.present : scale, gradient + layer.bias);
  }
}

template <typename T>
void tangent_forward(const Pass<T>& pass, TangentPass<T>& tangent, const T* theta, const T* u, bool still,
                     const T* scale, T* along) {
  for (std::size_t l = 0; l < pass.net.size(); ++l) {
    const DenseLayer& layer = pass.net[l];
    Product<T> product = product_of(pass, layer.out, tangent.packed);
    product.first = times(layer, u, pass.h[l]);
    product.bias = bias_of(layer, u);
    product.adjoint = pass.adjoint[l];
    product.along = along;
    product.scale = scale;
    if (l > 0 || !still) product.second = times(layer, theta, tangent.h[l]);
    product.sum = tangent.a[l];
    product.finish = Finish::slope;
    product.activation = layer.activation;
    product.value = pass.h[l + 1];
    product.y = tangent.h[l + 1];
    pass.kernels.product(product);
  }
}

template <typename T>
void tangent_backward(const Pass<T>& pass, TangentPass<T>& tangent, const T* theta, const T* u,
                      const T* scale, const T* seed, T* input, std::size_t input_columns) {
  const std::size_t last = pass.net.size() - 1;
  pass.kernels.slope(pass.net[last].activation, elements(pass, pass.net[last].out), pass.h[last + 1], seed,
                     pass.curvature[last], tangent.a[last], tangent.adjoint[last]);
  const auto product_back = [&](std::size_t l) {
    Product<T> product = product_of(pass, pass.net[l].in, tangent.packed);
    product.first = transposed_times(pass.net[l], u, pass.adjoint[l]);
    product.scale = scale;
    product.second = transposed_times(pass.net[l], theta, tangent.adjoint[l]);
    return product;
  };
  for (std::size_t l = last; l > 0; --l) {
    Product<T> product = product_back(l);
    product.finish = Finish::slope;
    product.activation = pass.net[l - 1].activation;
    product.value = pass.h[l];
    product.curvature = pass.curvature[l - 1];
    product.tangent = tangent.a[l - 1];
    product.y = tangent.adjoint[l - 1];
    pass.kernels.product(product);
  }
  if (input == nullptr) return;
  Product<T> product = product_back(0);
  product.columns = input_columns;
  product.y = input;
  pass.kernels.product(product);
}

template <typename T>
void tangent_parameter_gradient(const Pass<T>& pass, const TangentPass<T>& tangent,
                                std::size_t moving_columns, T* gradient) {
  for (std::size_t l = 0; l < pass.net.size(); ++l) {
    const DenseLayer& layer = pass.net[l];
    Outer<T> outer = outer_of(pass, layer);
    outer.left = tangent.adjoint[l];
    outer.right = pass.h[l];
    outer.second_columns = l == 0 ? moving_columns : outer.columns;
    outer.second_left = pass.adjoint[l];
    outer.second_right = tangent.h[l];
    outer.c = gradient + layer.weight;
    outer.turned = tangent.turned;
    pass.kernels.outer(outer);
    if (layer.bias != DenseLayer::no_bias)
      row_sums(pass, layer, tangent.adjoint[l], pass.present, gradient + layer.bias);
  }
}

template <typename T>
void add_penalty(const Pass<T>& pass, T gamma, const T* theta, T* gradient) {
  for (const DenseLayer& layer : pass.net)
    pass.kernels.add(layer.in * layer.out, gamma, theta + layer.weight, gradient + layer.weight);
}

#define WHENCE_INSTANTIATE(T)                                                                             \
  template struct Pass<T>;                                                                                \
  template struct TangentPass<T>;                                                                         \
  template void forward(Pass<T>&, const T*);                                                              \
  template void backward(Pass<T>&, const T*, const T*, T*, std::size_t);                                  \
  template void parameter_gradient(const Pass<T>&, const T*, T*);                                         \
  template void tangent_forward(const Pass<T>&, TangentPass<T>&, const T*, const T*, bool, const T*, T*); \
  template void tangent_backward(const Pass<T>&, TangentPass<T>&, const T*, const T*, const T*, const T*, \
                                 T*, std::size_t);                                                        \
  template void tangent_parameter_gradient(const Pass<T>&, const TangentPass<T>&, std::size_t, T*);       \
  template void add_penalty(const Pass<T>&, T, const T*, T*);

WHENCE_INSTANTIATE(double)
WHENCE_INSTANTIATE(float)

}  // namespace whence::native
