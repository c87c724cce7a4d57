#pragma once
// A layer's part of many gradients, and the cheapest way to multiply gradients with each other.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "whence/net/layer.h"

namespace whence {

/// One layer's part of n gradients. That by the weight, flattened, is sum_r left[i, r] right[i, r]^T, a
/// matrix [p, q] of the weight's first by its other axes; a linear layer has r over the samples (one where
/// the layer does not depend on them), a convolution r over samples and positions, with patches of its input.
struct LayerGradients {
  at::Tensor left;   ///< [n, T, p]
  at::Tensor right;  ///< [n, T, q]
  at::Tensor bias;   ///< [n, out], the gradient by the bias
  at::Tensor sums;   ///< [n, p q], in place of left and right where added_up_at_once()
};

/// Sizes of LayerGradients, known beforehand.
struct LayerExtent {
  std::int64_t rows, left, right, bias;  ///< T, p, q, out
};

/// Of a layer that sees `samples` samples of an instance.
LayerExtent extent_of(const Stage& stage, std::int64_t samples);

/// How the product <sum_r b_r a_r^T, sum_s b'_s a'_s^T> of one layer is taken. `gram`: sum_rs
/// (a_r.a'_s)(b_r.b'_s), two Gram matrices and no gradient at all. `product`: the query's gradient is kept,
/// each instance's is made for the moment and multiplied with all queries'.
enum class ProductForm { gram, product };

/// The form with fewer multiplications an instance, for so many queries.
ProductForm cheaper_form(const LayerExtent& layer, std::int64_t queries);
/// The same for the product of a gradient with itself.
ProductForm cheaper_self_form(const LayerExtent& layer);

/// Whether the library adds up an instance's gradient without its patches ever being there: of convolutions
/// on processors, where products are the cheaper form even of one gradient with itself (and so of all).
bool added_up_at_once(const Stage& stage, std::int64_t samples, at::Device device);

/// The gradients of n instances from the layer's inputs [n samples, in] and the derivatives [n samples, out]
/// by its outputs before the activation.
LayerGradients gradients_of(const Stage& stage, const at::Tensor& input, const at::Tensor& by_output,
                            std::int64_t n);

/// Copies `rows` to rows first, first + 1, ... of `all`, which is made for `count` rows when it isn't there;
/// does nothing where `rows` is undefined.
void keep_rows(at::Tensor& all, std::int64_t count, std::int64_t first, const at::Tensor& rows);

}  // namespace whence
