#include "whence/net/convolution.h"

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

namespace whence {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

using Pair = std::array<std::int64_t, 2>;

// The library's derivatives of sum <y, K * x> by x and by K. Of the one asked for it reads the sizes alone.
at::Tensor library_derivative(const PatchGrid& grid, const at::Tensor& places, const at::Tensor& image,
                              const at::Tensor& kernel, bool by_image) {
  const Pair stride{grid.stride, grid.stride}, padding{grid.padding, grid.padding};
  const auto all = at::convolution_backward(places.contiguous(), image.contiguous(), kernel.contiguous(),
                                            c10::nullopt, stride, padding, Pair{1, 1}, false, Pair{0, 0}, 1,
                                            {by_image, !by_image, false});
  return by_image ? std::get<0>(all) : std::get<1>(all);
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
    const ImageSize& image = grid.image;
    const at::Tensor of_image_size =
        at::empty({places.size(0), image.channels, image.height, image.width}, places.options());
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
    const at::Tensor of_kernel_size =
        at::empty({places.size(1), grid.image.channels, grid.kernel, grid.kernel}, places.options());
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

}  // namespace whence
