#include "whence/tracin/gradient_products.h"

#include <algorithm>

#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>

namespace whence {
namespace {

// Grams of so many instances at once: their two matrices [tile T, Q T] should stay within the caches' reach.
constexpr std::int64_t tile = 8;

ProductForm self_form(const LayerGradients& g) {
  return g.sums.defined()
             ? ProductForm::product
             : cheaper_self_form({g.left.size(1), g.left.size(2), g.right.size(2), g.bias.size(1)});
}

// [n, p q], each instance's gradient by the weight.
at::Tensor added_up(const LayerGradients& gradients) {
  return gradients.sums.defined() ? gradients.sums
                                  : at::bmm(gradients.left.transpose(1, 2), gradients.right).flatten(1);
}

}  // namespace

std::int64_t query_numbers(const std::vector<LayerExtent>& layers, std::int64_t queries) {
  std::int64_t numbers = 0;
  for (const LayerExtent& layer : layers)
    numbers += layer.bias + (cheaper_form(layer, queries) == ProductForm::gram
                                 ? layer.rows * (layer.left + layer.right)
                                 : layer.left * layer.right);
  return numbers;
}

std::int64_t product_numbers(const std::vector<LayerExtent>& layers, std::int64_t queries, std::int64_t n) {
  std::int64_t largest = 0;
  for (const LayerExtent& layer : layers) {
    const ProductForm form = queries > 0 ? cheaper_form(layer, queries) : cheaper_self_form(layer);
    const std::int64_t grams = queries > 0 ? std::min(n, tile) * queries : n;
    largest = std::max(largest, form == ProductForm::gram ? 2 * grams * layer.rows * layer.rows
                                                          : n * layer.left * layer.right);
  }
  return largest;
}

QueryGradients::QueryGradients(std::vector<LayerExtent> layers, std::int64_t queries) : queries_(queries) {
  for (const LayerExtent& layer : layers) kept_.push_back({cheaper_form(layer, queries), {}, {}, {}, {}});
}

void QueryGradients::put(std::size_t l, std::int64_t first, const LayerGradients& of_queries) {
  Kept& kept = kept_[l];
  keep_rows(kept.bias, queries_, first, of_queries.bias);
  if (kept.form == ProductForm::gram) {
    keep_rows(kept.left, queries_, first, of_queries.left);
    keep_rows(kept.right, queries_, first, of_queries.right);
  } else {
    keep_rows(kept.gradient, queries_, first, added_up(of_queries));
  }
}

void QueryGradients::add_products(std::size_t l, const LayerGradients& of_instances, at::Tensor& scores,
                                  const std::function<void()>& between_tiles) const {
  const Kept& kept = kept_[l];
  scores += at::mm(kept.bias, of_instances.bias.t());
  if (kept.form == ProductForm::product) {
    scores += at::mm(kept.gradient, added_up(of_instances).t());
    return;
  }
  const std::int64_t n = of_instances.left.size(0), rows = of_instances.left.size(1);
  for (std::int64_t begin = 0; begin < n; begin += tile) {
    const std::int64_t count = std::min(tile, n - begin);
    at::Tensor grams =
        at::mm(of_instances.left.narrow(0, begin, count).flatten(0, 1), kept.left.flatten(0, 1).t());
    grams *= at::mm(of_instances.right.narrow(0, begin, count).flatten(0, 1), kept.right.flatten(0, 1).t());
    const at::Tensor sums = grams.view({count, rows, -1}).sum(1).view({count, queries_, -1}).sum(2);
    scores.narrow(1, begin, count) += sums.t();
    between_tiles();
  }
}

void add_squared_norms(const LayerGradients& gradients, at::Tensor& scores) {
  scores += gradients.bias.square().sum(1);
  if (self_form(gradients) == ProductForm::product) {
    scores += added_up(gradients).square().sum(1);
    return;
  }
  at::Tensor grams = at::bmm(gradients.left, gradients.left.transpose(1, 2));
  grams *= at::bmm(gradients.right, gradients.right.transpose(1, 2));
  scores += grams.flatten(1).sum(1);
}

}  // namespace whence
