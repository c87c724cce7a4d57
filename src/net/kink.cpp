#include "whence/net/kink.h"

#include <ATen/ops/exp.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace whence {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

void keep(AutogradContext* context, const at::Tensor& x, const std::vector<double>& places,
          const std::vector<double>& jumps, double width) {
  context->save_for_backward({x});
  context->saved_data["places"] = places;
  context->saved_data["jumps"] = jumps;
  context->saved_data["width"] = width;
}

// 0, whose derivative is the sum of densities.
struct FlatSlope : Function<FlatSlope> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::vector<double>& places,
                            const std::vector<double>& jumps, double width) {
    keep(context, x, places, jumps, width);
    return at::zeros_like(x);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    constexpr double root_two_pi = 2.506628274631000502415765284811;
    const at::Tensor x = context->get_saved_variables()[0];
    const auto places = context->saved_data["places"].toDoubleVector(),
               jumps = context->saved_data["jumps"].toDoubleVector();
    const double width = context->saved_data["width"].toDouble();
    at::Tensor density = at::zeros_like(x);
    for (std::size_t k = 0; k < places.size(); ++k)
      density.add_(at::exp((x - places[k]).square() * (-0.5 / (width * width))),
                   jumps[k] / (width * root_two_pi));
    return {upstream[0] * density, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// 0, whose derivative is FlatSlope.
struct FlatValue : Function<FlatValue> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::vector<double>& places,
                            const std::vector<double>& jumps, double width) {
    keep(context, x, places, jumps, width);
    return at::zeros_like(x);
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const at::Tensor x = context->get_saved_variables()[0];
    return {upstream[0] * FlatSlope::apply(x, context->saved_data["places"].toDoubleVector(),
                                           context->saved_data["jumps"].toDoubleVector(),
                                           context->saved_data["width"].toDouble()),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Its slope is a variable in derivatives, but not in the value.
struct WithSlope : Function<WithSlope> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& slope) {
    context->save_for_backward({slope});
    return x * slope;
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    return {upstream[0] * context->get_saved_variables()[0], at::Tensor()};
  }
};

}  // namespace

at::Tensor with_slope(const at::Tensor& x, const at::Tensor& slope) { return WithSlope::apply(x, slope); }

at::Tensor kink_curvature(const at::Tensor& x, const std::vector<double>& places,
                          const std::vector<double>& jumps, double width) {
  return FlatValue::apply(x, places, jumps, width);
}

}  // namespace whence
