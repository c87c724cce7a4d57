#include "whence/net/convolution.h"

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/ops/col2im.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

namespace whence {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

using Pair = std::array<std::int64_t, 2>;

// Whether there is one place, which sees the whole image: a dense layer.
bool is_dense(const PatchGrid& grid) {
  return grid.places() == 1 && grid.padding == 0 && grid.image.height == grid.kernel &&
         grid.image.width == grid.kernel;
}

// Where one of them has its channels last, so have all that the library is given.
at::MemoryFormat format_of(const at::Tensor& a, const at::Tensor& b) {
  const auto is_last = [](const at::Tensor& x) {
    return x.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
  };
  return is_last(a) || is_last(b) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

// The library's derivatives of sum <y, K * x> by x and by K. Of the one asked for it reads the sizes alone.
at::Tensor library_derivative(const PatchGrid& grid, const at::Tensor& places, const at::Tensor& image,
                              const at::Tensor& kernel, bool by_image) {
  const Pair stride{grid.stride, grid.stride}, padding{grid.padding, grid.padding};
  const at::MemoryFormat format = format_of(places, by_image ? kernel : image);
  const auto all = at::convolution_backward(places.contiguous(format), image.contiguous(format),
                                            kernel.contiguous(format), c10::nullopt, stride, padding,
                                            Pair{1, 1}, false, Pair{0, 0}, 1, {by_image, !by_image, false});
  return by_image ? std::get<0>(all) : std::get<1>(all);
}

// [n, values] of x [n, channels, height, width] in this order of its values.
at::Tensor rows_of(const at::Tensor& x, at::MemoryFormat format) {
  return format == at::MemoryFormat::ChannelsLast ? x.permute({0, 2, 3, 1}).flatten(1) : x.flatten(1);
}

// From rows [n, values] back to images of the grid's.
at::Tensor images_of(const at::Tensor& rows, const PatchGrid& grid, at::MemoryFormat format) {
  const std::int64_t n = rows.size(0), c = grid.image.channels, k = grid.kernel;
  return format == at::MemoryFormat::ChannelsLast ? rows.view({n, k, k, c}).permute({0, 3, 1, 2})
                                                  : rows.view({n, c, k, k});
}

at::Tensor dense(const at::Tensor& image, const at::Tensor& kernel) {
  const at::MemoryFormat format = kernel.suggest_memory_format();
  return at::mm(rows_of(image, format), rows_of(kernel, format).t())
      .view({image.size(0), kernel.size(0), 1, 1});
}

at::Tensor dense_transposed(const PatchGrid& grid, const at::Tensor& places, const at::Tensor& kernel) {
  const at::MemoryFormat format = kernel.suggest_memory_format();
  return images_of(at::mm(places.flatten(1), rows_of(kernel, format)), grid, format);
}

at::Tensor dense_gradient(const PatchGrid& grid, const at::Tensor& image, const at::Tensor& places) {
  const at::MemoryFormat format = image.suggest_memory_format();
  return images_of(at::mm(places.flatten(1).t(), rows_of(image, format)), grid, format);
}

// One product for all samples' places, of which the pixels are added up.
at::Tensor transposed_by_columns(const PatchGrid& grid, const at::Tensor& places, const at::Tensor& kernel) {
  const std::int64_t samples = places.size(0), k = grid.kernel;
  const at::Tensor rows = places.permute({0, 2, 3, 1}).reshape({-1, places.size(1)}),
                   columns = at::mm(kernel.flatten(1).t(), rows.t());
  return at::col2im(columns.view({grid.patch(), samples, grid.places()}).transpose(0, 1),
                    {grid.image.height, grid.image.width}, {k, k}, {1, 1}, {grid.padding, grid.padding},
                    {grid.stride, grid.stride});
}

// What an operation's derivatives need: its two tensors and the grid.
void keep(AutogradContext* context, const PatchGrid& grid, const at::Tensor& a, const at::Tensor& b) {
  context->save_for_backward({a, b});
  context->saved_data["grid"] =
      std::vector<std::int64_t>{grid.image.channels, grid.image.height, grid.image.width, grid.kernel,
                                grid.stride,         grid.padding,      grid.rows,        grid.columns};
}

PatchGrid kept_grid(AutogradContext* context) {
  const auto n = context->saved_data["grid"].toIntVector();
  return {{n[0], n[1], n[2]}, n[3], n[4], n[5], n[6], n[7]};
}

// The derivatives by the two tensors kept, each from the other, where they are asked for; none by the grid,
// which comes first.
template <typename ByFirst, typename BySecond>
tensor_list derivatives(AutogradContext* context, const ByFirst& by_first, const BySecond& by_second) {
  const auto kept = context->get_saved_variables();
  const PatchGrid grid = kept_grid(context);
  return {at::Tensor(), context->needs_input_grad(0) ? by_first(grid, kept[1]) : at::Tensor(),
          context->needs_input_grad(1) ? by_second(grid, kept[0]) : at::Tensor()};
}

struct Convolved : Function<Convolved> {
  static at::Tensor forward(AutogradContext* context, const PatchGrid& grid, const at::Tensor& image,
                            const at::Tensor& kernel) {
    keep(context, grid, image, kernel);
    if (is_dense(grid)) return dense(image, kernel);
    const Pair stride{grid.stride, grid.stride}, padding{grid.padding, grid.padding};
    return at::convolution(image, kernel, c10::nullopt, stride, padding, Pair{1, 1}, false, Pair{0, 0}, 1);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const at::Tensor& u = upstream[0];
    return derivatives(
        context,
        [&](const PatchGrid& grid, const at::Tensor& kernel) {
          return transposed_convolved(grid, u, kernel);
        },
        [&](const PatchGrid& grid, const at::Tensor& image) { return kernel_gradient(grid, image, u); });
  }
};

struct TransposedConvolved : Function<TransposedConvolved> {
  static at::Tensor forward(AutogradContext* context, const PatchGrid& grid, const at::Tensor& places,
                            const at::Tensor& kernel) {
    keep(context, grid, places, kernel);
    if (is_dense(grid)) return dense_transposed(grid, places, kernel);
    if (column_numbers(grid, kernel.size(0), kernel.scalar_type()) > 0)
      return transposed_by_columns(grid, places, kernel);
    const ImageSize& image = grid.image;
    const at::Tensor of_image_size = at::empty({places.size(0), image.channels, image.height, image.width},
                                               places.options().memory_format(format_of(places, kernel)));
    return library_derivative(grid, places, of_image_size, kernel, true);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const at::Tensor& u = upstream[0];
    return derivatives(
        context, [&](const PatchGrid& grid, const at::Tensor& kernel) { return convolved(grid, u, kernel); },
        [&](const PatchGrid& grid, const at::Tensor& places) { return kernel_gradient(grid, u, places); });
  }
};

struct KernelGradient : Function<KernelGradient> {
  static at::Tensor forward(AutogradContext* context, const PatchGrid& grid, const at::Tensor& image,
                            const at::Tensor& places) {
    keep(context, grid, image, places);
    if (is_dense(grid)) return dense_gradient(grid, image, places);
    const at::Tensor of_kernel_size =
        at::empty({places.size(1), grid.image.channels, grid.kernel, grid.kernel},
                  places.options().memory_format(format_of(image, places)));
    return library_derivative(grid, places, image, of_kernel_size, false);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const at::Tensor& u = upstream[0];
    return derivatives(
        context,
        [&](const PatchGrid& grid, const at::Tensor& places) {
          return transposed_convolved(grid, places, u);
        },
        [&](const PatchGrid& grid, const at::Tensor& image) { return convolved(grid, image, u); });
  }
};

}  // namespace

at::Tensor convolved(const PatchGrid& grid, const at::Tensor& image, const at::Tensor& kernel) {
  return Convolved::apply(grid, image, kernel);
}

at::Tensor transposed_convolved(const PatchGrid& grid, const at::Tensor& places, const at::Tensor& kernel) {
  return TransposedConvolved::apply(grid, places, kernel);
}

at::Tensor kernel_gradient(const PatchGrid& grid, const at::Tensor& image, const at::Tensor& places) {
  return KernelGradient::apply(grid, image, places);
}

// Of so few channels in float32 the library fills most of a vector with zeros; but columns of a large kernel
// that moves by small strides take longer.
std::int64_t column_numbers(const PatchGrid& grid, std::int64_t channels, at::ScalarType dtype) {
  const bool worth_it = grid.image.channels <= 4 && dtype == at::kFloat && grid.stride > 1 &&
                        grid.patch() <= 2 * channels && !is_dense(grid);
  return worth_it ? 2 * grid.patch() * grid.places() : 0;
}

// The library's kernels of float32 work on vectors of channels.
at::Tensor in_fast_order(const at::Tensor& kernel) {
  if (kernel.dim() != 4 || !kernel.device().is_cpu() || kernel.scalar_type() != at::kFloat) return kernel;
  return kernel.contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace whence
