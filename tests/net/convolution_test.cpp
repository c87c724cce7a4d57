// Convolutions beside LibTorch's own operations of those names, with LibTorch's derivatives.
#include "whence/net/convolution.h"

#include <functional>
#include <gtest/gtest.h>
#include <utility>
#include <vector>

#include <ATen/ops/convolution.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/random.h"

namespace whence {
namespace {

using torch::autograd::grad;

at::Tensor draws(std::vector<std::int64_t> shape, std::uint32_t step, at::ScalarType dtype) {
  at::Tensor values = at::empty(shape, at::kDouble);
  RandomStream(1, Purpose::training_data, step).normal(0, values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

// A convolution of kernel k, stride s and padding p with `channels` into `places` channels, and the rows of
// what it makes, which has `more` columns than that.
struct Case {
  std::int64_t k, s, p, channels, places, rows, more = 1;
};
// Of few and of many channels, with one place alone, and (the last three) such as go through columns.
const std::vector<Case> cases{{4, 2, 1, 3, 5, 4},    {4, 1, 0, 2, 7, 1},    {3, 1, 1, 4, 2, 5},
                              {3, 3, 2, 1, 3, 3},    {1, 1, 0, 3, 4, 6},    {4, 2, 1, 6, 5, 4},
                              {3, 1, 1, 5, 2, 5},    {4, 1, 0, 6, 7, 1},    {4, 1, 0, 6, 7, 1, 0},
                              {4, 1, 0, 3, 2, 1, 0}, {4, 2, 1, 6, 5, 1, 0}, {4, 2, 1, 3, 24, 3},
                              {2, 2, 0, 2, 5, 3},    {3, 3, 2, 1, 5, 3}};

PatchGrid grid_of(const Case& c) {
  const std::int64_t side = (c.rows - 1) * c.s + c.k - 2 * c.p;
  return {{c.channels, side, side + c.s * c.more}, c.k, c.s, c.p, c.rows, c.rows + c.more};
}

using Operation = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& kernel)>;

// The value of an operation, its derivatives along `u`, and the derivatives of those derivatives' squares and
// of their squares again: three times differentiated.
std::vector<at::Tensor> values_and_derivatives(const Operation& operation, const at::Tensor& x,
                                               const at::Tensor& kernel, const at::Tensor& u) {
  const at::Tensor a = x.detach().requires_grad_(), b = kernel.detach().requires_grad_();
  std::vector<at::Tensor> all{operation(a, b)};
  at::Tensor sum = (all[0].tanh() * u).sum();
  for (int order = 0; order < 3; ++order) {
    const auto found = grad({sum}, {a, b}, {}, c10::nullopt, true);
    all.insert(all.end(), found.begin(), found.end());
    sum = found[0].sin().sum() + found[1].cos().sum();
  }
  return all;
}

void expect_same(const Operation& ours, const Operation& librarys, const at::Tensor& x,
                 const at::Tensor& kernel, const at::Tensor& u, double within) {
  const auto found = values_and_derivatives(ours, x, kernel, u),
             right = values_and_derivatives(librarys, x, kernel, u);
  for (std::size_t i = 0; i < right.size(); ++i) {
    ASSERT_EQ(found[i].sizes(), right[i].sizes()) << i;
    EXPECT_LT((found[i] - right[i]).abs().max().item<double>(), within * right[i].abs().max().item<double>())
        << i;
  }
}

TEST(Convolution, AgreesWithTheLibrarysAndItsDerivatives) {
  for (const Case& c : cases)
    for (const auto& [dtype, within] :
         {std::pair<at::ScalarType, double>{at::kDouble, 1e-12}, {at::kFloat, 2e-4}}) {
      SCOPED_TRACE(::testing::Message() << "kernel " << c.k << ", stride " << c.s << ", padding " << c.p);
      const PatchGrid grid = grid_of(c);
      const at::Tensor kernel = draws({c.places, c.channels, c.k, c.k}, 1, dtype) * 0.3;
      const at::Tensor image = draws({3, c.channels, grid.image.height, grid.image.width}, 2, dtype);
      const at::Tensor places = draws({3, c.places, grid.rows, grid.columns}, 3, dtype);
      const auto librarys = [&](bool transposed) {
        return [&grid, transposed](const at::Tensor& x, const at::Tensor& k) {
          return at::convolution(x, k, c10::nullopt, {grid.stride, grid.stride}, {grid.padding, grid.padding},
                                 {1, 1}, transposed, {0, 0}, 1);
        };
      };
      expect_same([&](const at::Tensor& x, const at::Tensor& k) { return convolved(grid, x, k); },
                  librarys(false), image, kernel, places, within);
      expect_same([&](const at::Tensor& x, const at::Tensor& k) { return transposed_convolved(grid, x, k); },
                  librarys(true), places, kernel, image, within);
    }
}

// <y, K * x> is one number, whichever of the three is taken out.
TEST(Convolution, ItsThreeOperationsBelongToOneForm) {
  for (const Case& c : cases) {
    const PatchGrid grid = grid_of(c);
    const at::Tensor kernel = draws({c.places, c.channels, c.k, c.k}, 4, at::kDouble);
    const at::Tensor image = draws({2, c.channels, grid.image.height, grid.image.width}, 5, at::kDouble);
    const at::Tensor places = draws({2, c.places, grid.rows, grid.columns}, 6, at::kDouble);
    const double form = (places * convolved(grid, image, kernel)).sum().item<double>();
    EXPECT_NEAR((image * transposed_convolved(grid, places, kernel)).sum().item<double>(), form, 1e-11);
    EXPECT_NEAR((kernel * kernel_gradient(grid, image, places)).sum().item<double>(), form, 1e-11);
  }
}

TEST(Convolution, TakesTensorsThatLieInAnyOrder) {
  const Case c = cases[0];
  const PatchGrid grid = grid_of(c);
  const at::Tensor kernel = draws({c.channels, c.k, c.places, c.k}, 7, at::kDouble).permute({2, 0, 3, 1});
  const at::Tensor image =
      draws({grid.image.width, grid.image.height, c.channels, 2}, 8, at::kDouble).permute({3, 2, 1, 0});
  const at::Tensor places =
      draws({grid.columns, c.places, grid.rows, 2}, 9, at::kDouble).permute({3, 1, 2, 0});
  EXPECT_TRUE(
      convolved(grid, image, kernel).allclose(convolved(grid, image.contiguous(), kernel.contiguous())));
  EXPECT_TRUE(transposed_convolved(grid, places, kernel)
                  .allclose(transposed_convolved(grid, places.contiguous(), kernel.contiguous())));
  EXPECT_TRUE(kernel_gradient(grid, image, places)
                  .allclose(kernel_gradient(grid, image.contiguous(), places.contiguous())));
}

TEST(Convolution, ColumnsAreForFewChannelsAndLargeStrides) {
  std::size_t number = 0;
  for (const Case& c : cases) {
    EXPECT_EQ(column_numbers(grid_of(c), c.places, at::kFloat) > 0, ++number > cases.size() - 3) << number;
    EXPECT_EQ(column_numbers(grid_of(c), c.places, at::kDouble), 0);
  }
}

// Whichever of the arguments have their channels last in memory; a kernel's order is passed on.
TEST(Convolution, ChannelsMayBeLastInMemory) {
  constexpr auto last = at::MemoryFormat::ChannelsLast;
  for (const Case& c : cases)
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
      SCOPED_TRACE(::testing::Message() << "kernel " << c.k << ", channels " << c.channels);
      const PatchGrid grid = grid_of(c);
      const double within = dtype == at::kFloat ? 1e-4 : 1e-11;
      const at::Tensor kernel = draws({c.places, c.channels, c.k, c.k}, 10, dtype);
      const at::Tensor image = draws({2, c.channels, grid.image.height, grid.image.width}, 11, dtype);
      const at::Tensor places = draws({2, c.places, grid.rows, grid.columns}, 12, dtype);
      const auto expect = [&](const auto& operation, const at::Tensor& a, const at::Tensor& b) {
        const at::Tensor right = operation(grid, a, b);
        for (const auto& [first, second] :
             {std::pair{a.contiguous(last), b.contiguous(last)}, std::pair{a, b.contiguous(last)},
              std::pair{a.contiguous(last), b}})
          EXPECT_TRUE(operation(grid, first, second).allclose(right, within, within));
      };
      expect(convolved, image, kernel);
      expect(transposed_convolved, places, kernel);
      expect(kernel_gradient, image, places);
    }
  const at::Tensor kernel = draws({8, 8, 3, 3}, 13, at::kFloat), wide = kernel.to(at::kDouble);
  EXPECT_TRUE(in_fast_order(kernel).equal(kernel));
  EXPECT_TRUE(in_fast_order(kernel).is_contiguous(last));
  EXPECT_TRUE(in_fast_order(wide).is_same(wide));
}

}  // namespace
}  // namespace whence
