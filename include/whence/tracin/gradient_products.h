#pragma once
// Scalar products of gradients held as sums of outer products.

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/tracin/layer_gradients.h"

namespace whence {

/// Numbers kept for each query.
std::int64_t query_numbers(const std::vector<LayerExtent>& layers, std::int64_t queries);

/// Gradients of Q queries, as they are needed for products with many instances' gradients.
class QueryGradients {
 public:
  QueryGradients(std::vector<LayerExtent> layers, std::int64_t queries);

  /// Takes in layer l's gradients of the queries from `first` on; each query once, before products are asked
  /// for.
  void put(std::size_t l, std::int64_t first, const LayerGradients& of_queries);
  /// Adds layer l's part of the products with n instances to `scores` [Q, n] float64; calls
  /// `between_tiles` now and then.
  void add_products(
      std::size_t l, const LayerGradients& of_instances, at::Tensor& scores,
      const std::function<void()>& between_tiles = [] {}) const;

 private:
  struct Kept {
    ProductForm form;
    at::Tensor left, right;  // gram: [Q, T, p], [Q, T, q]
    at::Tensor gradient;     // product: [Q, p q]
    at::Tensor bias;         // [Q, out]
  };
  std::int64_t queries_;
  std::vector<Kept> kept_;
};

/// Adds layer's part of the squared norms of n gradients to `scores` [n] float64: for Grams, T x T only.
void add_squared_norms(const LayerGradients& gradients, at::Tensor& scores);

/// Numbers that add_products and add_squared_norms need besides, for n instances.
std::int64_t product_numbers(const std::vector<LayerExtent>& layers, std::int64_t queries, std::int64_t n);

}  // namespace whence
