// Kernel densities and their derivatives against the formula in long double, term by term.
#include "whence/metric/kernel_density.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include "support/numbers.h"

namespace whence {
namespace {

using test::normals;
using test::relative_difference;

// log N(x; g, I) + log m is -|x - g|^2 / 2 - d/2 log(2 pi).
std::vector<long double> exponents(const at::Tensor& x, const at::Tensor& centres) {
  std::vector<long double> all;
  for (std::int64_t m = 0; m < centres.size(0); ++m) {
    long double distance = 0;
    for (std::int64_t k = 0; k < x.size(0); ++k) {
      const long double difference =
          static_cast<long double>(x[k].item<double>()) - centres[m][k].item<double>();
      distance += difference * difference;
    }
    all.push_back(-distance / 2);
  }
  return all;
}

long double log_of_sum(const std::vector<long double>& exponents) {
  const long double largest = *std::max_element(exponents.begin(), exponents.end());
  long double sum = 0;
  for (const long double exponent : exponents) sum += std::exp(exponent - largest);
  return largest + std::log(sum);
}

struct Case {
  std::string name;
  std::int64_t points, centres, width;
  double apart;  // distance between points and centres, in bandwidths
};

class KernelDensityOf : public ::testing::TestWithParam<Case> {
 protected:
  at::Tensor points = normals({GetParam().points, GetParam().width}, 1);
  at::Tensor centres =
      normals({GetParam().centres, GetParam().width}, 2) + GetParam().apart / std::sqrt(GetParam().width);
};

TEST_P(KernelDensityOf, IsTheLogOfTheMeanKernel) {
  const at::Tensor density = KernelDensity(points).log_density(centres);
  for (std::int64_t n = 0; n < points.size(0); ++n) {
    const long double expected = log_of_sum(exponents(points[n], centres)) -
                                 std::log(static_cast<long double>(centres.size(0))) -
                                 0.5L * std::log(2 * std::acos(-1.0L)) * centres.size(1);
    EXPECT_NEAR(density[n].item<double>(), static_cast<double>(expected),
                1e-12 * std::max(1.0, std::abs(static_cast<double>(expected))));
  }
}

// sum_n p_nm (x_n - g_m), with p_nm = e^(exponent) / sum_m e^(exponent).
TEST_P(KernelDensityOf, DerivativeByCentresIsTheSumOfShares) {
  const Range own{points.size(0) / 3, points.size(0)};
  at::Tensor expected = at::zeros({centres.size(0), centres.size(1)}, at::kDouble);
  for (std::int64_t n = own.begin; n < own.end; ++n) {
    const auto all = exponents(points[n], centres);
    const long double sum = log_of_sum(all);
    for (std::int64_t m = 0; m < centres.size(0); ++m)
      expected[m] += (points[n] - centres[m]) * static_cast<double>(std::exp(all[m] - sum));
  }
  EXPECT_LT(relative_difference(KernelDensity(points).by_centres(centres, own), expected), 1e-11);
}

TEST_P(KernelDensityOf, IsTheSameBitsOnOneAndThreeThreads) {
  const KernelDensity density(points);
  at::set_num_threads(1);
  const at::Tensor alone = density.log_density(centres);
  at::set_num_threads(3);
  const at::Tensor shared = density.log_density(centres);
  at::set_num_threads(1);
  EXPECT_TRUE(alone.equal(shared));
}

INSTANTIATE_TEST_SUITE_P(Cases, KernelDensityOf,
                         ::testing::Values(Case{"OneOfEach", 1, 1, 1, 0.5}, Case{"Plane", 131, 53, 2, 1},
                                           Case{"Far", 9, 20, 2, 100}, Case{"FarAway", 9, 20, 2, 1e4},
                                           Case{"Images", 43, 17, 784, 3}),
                         [](const auto& info) { return info.param.name; });

// Centres so far apart that all kernels but one underflow, the nearest one last and first.
TEST(KernelDensity, KeepsTheNearestOfFarCentres) {
  const at::Tensor points = at::zeros({2, 1}, at::kDouble);
  for (const bool nearest_last : {false, true}) {
    at::Tensor centres = at::zeros({40, 1}, at::kDouble);
    for (std::int64_t m = 0; m < 40; ++m) centres[m] = 100.0 + 50.0 * (nearest_last ? 39 - m : m);
    const double expected = -5000 - std::log(40) - 0.5 * std::log(2 * std::acos(-1.0));
    EXPECT_NEAR(KernelDensity(points).log_density(centres)[1].item<double>(), expected, 1e-11);
  }
}

TEST(KernelDensity, HandsOnNotANumber) {
  at::Tensor centres = normals({40, 2}, 1);
  centres[37][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(KernelDensity(normals({3, 2}, 2)).log_density(centres)[0].item<double>()));
}

}  // namespace
}  // namespace whence
